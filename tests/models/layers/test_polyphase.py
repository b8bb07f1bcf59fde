import pytest
import torch

from fdnn.images.resize import imresize
from fdnn.models.layers.polyphase import PolyphaseBicubic

SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (4, 4), (33, 50)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [2, 3, 4, 5])
def test_bicubic_is_imresize(scale, size) -> None:
    image = torch.rand(2, 3, *size)
    found = PolyphaseBicubic(3, scale)(image)
    torch.testing.assert_close(found, imresize(image.double(), scale).float(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("large", "small"), [(2, 1), (3, 1), (4, 1), (2, 3), (4, 3), (8, 5)])
def test_shrinking_is_imresize(large, small, size) -> None:
    h, w = size
    image = torch.rand(2, 3, large * h, large * w)
    found = PolyphaseBicubic(3, small, large)(image)
    expected = imresize(image.double(), size=(small * h, small * w)).float()
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_bicubic_by_hand() -> None:
    # Keys' cubic with a = -0.5 at distances 0.25, 0.75, 1.25 and 1.75.
    own, near, far, farther = 0.8671875, 0.2265625, -0.0703125, -0.0234375
    assert own + near + far + farther == 1
    # The row 0 1, mirrored: 1 0 | 0 1 | 1 0.
    first, second = farther + far, near + farther
    expected = [first, second, 1 - second, 1 - first]
    found = PolyphaseBicubic(1, 2)(torch.tensor([0.0, 1.0]).expand(1, 1, 1, 2))
    torch.testing.assert_close(found, torch.tensor(expected).expand(1, 1, 2, 4))


def test_no_digits_lost_under_autocast() -> None:
    image = torch.rand(1, 1, 6, 7)
    upsample = PolyphaseBicubic(1, 3)
    expected = upsample(image)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(upsample(image), expected)


def test_leaves_nothing_in_weight_files() -> None:
    assert not PolyphaseBicubic(1, 3).state_dict()
    assert not PolyphaseBicubic(1, 3, 4).state_dict()
