import pytest
import torch
from torch.nn import functional as F

from fdnn.inference.engines import compiler_works
from fdnn.models import FSRCNN
from fdnn.models.layers.convolution import SameConv, replicate


@pytest.mark.parametrize("pixels", [0, 1, 3])
def test_replicate_is_torchs_padding(pixels: int) -> None:
    x = torch.rand(2, 3, 4, 5)
    assert torch.equal(replicate(x, pixels), F.pad(x, (pixels,) * 4, mode="replicate"))


def test_what_lies_beyond_the_border() -> None:
    image = torch.ones(1, 1, 6, 6)
    for border, corner in (("zeros", 4), ("replicate", 9)):
        layer = SameConv(1, 1, 3, border)
        torch.nn.init.ones_(layer.weight)
        found = layer(image)
        assert found.shape == image.shape
        assert found[0, 0, 0, 0] == corner
        assert found[0, 0, 2, 3] == 9


def test_he_initialisation() -> None:
    torch.manual_seed(0)
    layer = SameConv(64, 64, 3)
    assert float(layer.weight.detach().std()) == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.02)
    assert not layer.bias.any()


def test_compiled_gradients() -> None:
    """As training computes them: channels last, through every kind of layer of the small nets."""
    if not compiler_works(torch.device("cpu")):
        pytest.skip("no compiler")
    torch.manual_seed(0)
    net = FSRCNN(3, d=4, s=3, m=1).to(memory_format=torch.channels_last)
    lr = torch.rand(2, 1, 6, 6).contiguous(memory_format=torch.channels_last)
    expected = torch.autograd.grad(net(lr).square().sum(), list(net.parameters()))
    compiled = torch.compile(net.forward, dynamic=False)
    found = torch.autograd.grad(compiled(lr).square().sum(), list(net.parameters()))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)
