import pytest
import torch
from torch import nn

from fdnn.inference.convolutional import ConvolutionalFDNN
from fdnn.models import FDNN


@pytest.mark.parametrize("size", [(1, 1), (9, 14)])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_equals_the_network(scale: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    net = FDNN(scale)
    for module in net.modules():
        if isinstance(module, nn.ConvTranspose2d):
            nn.init.normal_(module.bias, std=0.1)
    graph = ConvolutionalFDNN(net)
    lr = torch.rand(2, 1, *size)
    assert torch.allclose(graph(lr), net(lr), atol=1e-5, rtol=0)
    assert graph.context == net.context
    assert not any(isinstance(m, nn.ConvTranspose2d) for m in graph.modules())


def test_made_on_the_networks_device() -> None:
    """Nothing is left on the processor: no other device may be mixed with it."""
    graph = ConvolutionalFDNN(FDNN(3).to("meta"))
    assert {p.device.type for p in graph.parameters()} == {"meta"}


def test_early_upsampling_is_refused() -> None:
    with pytest.raises(ValueError, match="upsample_at=6"):
        ConvolutionalFDNN(FDNN(3, upsample_at=6))
