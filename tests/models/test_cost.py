import pytest

from fdnn.models import DRCN, ESPCN, FDNN, FSRCNN, RED30, SRCNN, VDSR, Bicubic, Mixed
from fdnn.models.cost import multiply_adds, parameters

INTERPOLATION = 25


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        (SRCNN(3), INTERPOLATION + 57_184),
        (VDSR(4), INTERPOLATION + 664_704),
        (Mixed(2, convolutions=5), INTERPOLATION + 296_064),
        (RED30(2), INTERPOLATION + 4_131_072),
        # 256 x 1, one 256 x 256, then 16 times three kernels, two of them 256 x 256.
        (DRCN(2), INTERPOLATION + 2304 + 589_824 + 16 * (2 * 589_824 + 2304)),
        (ESPCN(3), (1600 + 18_432 + 2592) / 9),
        # At LR size 1x1, three 2x2, five 3x3 and the residual's 3x3; two 1x1 at HR size.
        (FDNN(3), (64 + 3 * 16_384 + 5 * 36_864 + 576) / 9 + 128),
        (Bicubic(3), INTERPOLATION),
    ],
    ids=lambda value: getattr(value, "title", None),
)
def test_multiply_adds_by_hand(net, expected) -> None:
    assert multiply_adds(net) == pytest.approx(expected, rel=1e-9)


def test_fsrcnn_pads_before_it_upsamples() -> None:
    at_lr_size = 12_464 - 81 * 56
    assert multiply_adds(FSRCNN(3)) == pytest.approx((at_lr_size + 81 * 56) / 9, rel=0.01)


def test_parameters() -> None:
    assert parameters(FDNN(3)) == 234_882
    assert parameters(SRCNN(3)) == 57_184 + 64 + 32 + 1
    assert parameters(FSRCNN(3)) == 12_464 + 2 * (56 + 12 + 4 * 12 + 56) + 1
    assert parameters(Bicubic(3)) == 0
