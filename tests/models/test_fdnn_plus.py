import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdnn.images.resize import imresize
from fdnn.models import Bicubic
from fdnn.models.fdnn_plus import FDNNPlus


def test_facts() -> None:
    for scale, parameters in {2: 295_777, 3: 295_617, 4: 295_561}.items():
        net = FDNNPlus(scale)
        deconvolutions = [m for m in net.modules() if isinstance(m, nn.ConvTranspose2d)]
        assert len(deconvolutions) == 10
        assert sum(p.numel() for p in net.parameters()) == parameters
    assert not [key for key in net.state_dict() if "bicubic" in key]


class LiteralPlus(nn.Module):
    """The same network in the words of the file's drawing, by nn.ConvTranspose2d alone."""

    def __init__(self, net: FDNNPlus) -> None:
        super().__init__()
        self.net = net

    def deconv(self, layer: nn.ConvTranspose2d, x: Tensor, crop: int = 0) -> Tensor:
        y = F.conv_transpose2d(x, layer.weight, layer.bias, layer.stride)
        return y[..., crop : y.shape[2] - crop, crop : y.shape[3] - crop]

    def forward(self, lr: Tensor) -> Tensor:
        net = self.net
        x = F.elu(self.deconv(net.enhance, lr))
        first, *rest = net.layers()
        x = F.elu(self.deconv(first, x, 1))
        while rest:
            one, two, *rest = rest
            y = self.deconv(two, F.elu(self.deconv(one, x, 1)), 1)
            x = F.elu(x + y if net.skips else y)
        return self.deconv(net.fuse, F.elu(self.deconv(net.up, x)))


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_equals_transposed_convolutions(scale: int, skips: bool) -> None:
    torch.manual_seed(0)
    net = FDNNPlus(scale, skips=skips)
    for layer in net.layers():
        nn.init.normal_(layer.bias, std=0.1)
    lr = torch.rand(2, 1, 14, 11)
    correction = net(lr) - imresize(lr.double(), scale)
    assert torch.allclose(correction.float(), LiteralPlus(net)(lr), atol=1e-5, rtol=0)


def test_starts_near_bicubic() -> None:
    torch.manual_seed(0)
    lr = F.interpolate(torch.rand(1, 1, 6, 6), scale_factor=4, mode="bicubic").clamp(0, 1)
    net = FDNNPlus(3)
    difference = (net(lr) - Bicubic(3)(lr))[..., 6:-6, 6:-6]
    assert difference.std() < 0.2


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3)])
def test_smallest_images(size: tuple[int, int]) -> None:
    assert FDNNPlus(3)(torch.rand(1, 1, *size)).shape == (1, 1, 3 * size[0], 3 * size[1])


def test_context_is_what_the_output_depends_on() -> None:
    torch.manual_seed(0)
    net = FDNNPlus(2)
    lr = torch.rand(1, 1, 31, 31, requires_grad=True)
    net(lr)[0, 0, 30, 30].backward()
    used = lr.grad[0, 0].abs().nonzero()
    assert (used - 15).abs().max() == net.context == 7


def test_other_scales() -> None:
    with pytest.raises(ValueError, match=r"one of \[2, 3, 4, 6, 8\], got 5"):
        FDNNPlus(5)
