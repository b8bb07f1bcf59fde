import pytest
import torch
from torch import nn

from fdnn.models import FDNN
from fdnn.models.convolutional import ConvolutionalFDNN


@pytest.mark.parametrize("size", [(1, 1), (9, 14)])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_equals_the_network(scale: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    net = FDNN(scale)
    for layer in net.deconvolutions():
        nn.init.normal_(layer.bias, std=0.1)
    graph = ConvolutionalFDNN(net)
    lr = torch.rand(2, 1, *size)
    assert torch.allclose(graph(lr), net(lr), atol=1e-5, rtol=0)
    assert graph.context == net.context
    assert not any(isinstance(m, nn.ConvTranspose2d) for m in graph.modules())


def test_early_upsampling_is_refused() -> None:
    with pytest.raises(ValueError, match="upsample_at=6"):
        ConvolutionalFDNN(FDNN(3, upsample_at=6))
