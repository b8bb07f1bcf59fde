import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from fdnn.models import FDNN
from fdnn.models.literal import LiteralFDNN
from tools.benchmark.limit import convolution_rate, operations


@pytest.mark.parametrize(("scale", "place"), [(2, -1), (3, -1), (3, 4), (4, -1)])
def test_operations_are_those_torch_counts(scale: int, place: int) -> None:
    net = FDNN(scale, upsample_at=place)
    lr = torch.rand(1, 1, 40, 40)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        LiteralFDNN(net)(lr)
    # The literal network also computes the borders that are cropped.
    ours = operations(net, 40 * 40)
    assert ours == pytest.approx(counter.get_total_flops(), rel=0.25)
    assert ours <= counter.get_total_flops()


def test_rate_is_positive() -> None:
    rates = convolution_rate(torch.float32, repeats=1)
    assert rates["both"] > 1e8
    assert 1e8 < rates["forward"] < 1e16
