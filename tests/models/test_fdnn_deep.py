import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdnn.images.resize import imresize
from fdnn.models import Bicubic, FDNNDeep


def deconvolved(layer: nn.ConvTranspose2d, x: Tensor, crop: int = 0) -> Tensor:
    y = F.conv_transpose2d(x, layer.weight, layer.bias, stride=layer.stride)
    return y[..., crop : y.shape[-2] - crop, crop : y.shape[-1] - crop]


def test_equals_transposed_convolutions() -> None:
    """Shipped weights mean what they mean by this sum, and this share of it."""
    torch.manual_seed(0)
    for scale in (2, 3, 4):
        net = FDNNDeep(scale, channels=8, pairs=3)
        for p in net.parameters():
            p.data += 0.05 * torch.randn_like(p)
        lr = torch.rand(2, 1, 14, 11)
        x = deconvolved(net.first, lr, 1)
        layers = net.layers()
        for one, two in zip(layers[::2], layers[1::2], strict=True):
            x = x + deconvolved(two, F.elu(deconvolved(one, x, 1)), 1) / 5
        correction = deconvolved(net.fuse, F.elu(deconvolved(net.up, x)))
        sr = imresize(lr.double(), scale).float() + correction
        assert torch.allclose(net(lr), sr, atol=1e-5, rtol=0)


def test_nineteen_layers() -> None:
    net = FDNNDeep(3)
    assert sum(isinstance(m, nn.ConvTranspose2d) for m in net.modules()) == 19
    assert sum(p.numel() for p in net.parameters()) == 2_436_481


def test_starts_near_bicubic() -> None:
    torch.manual_seed(0)
    lr = F.interpolate(torch.rand(1, 1, 6, 6), scale_factor=4, mode="bicubic").clamp(0, 1)
    assert (FDNNDeep(3)(lr) - Bicubic(3)(lr)).std() < 0.1
