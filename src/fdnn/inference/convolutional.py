"""FDNN as a graph of convolutions, for engines that know nothing of deconvolutions.

Kernels are turned once instead of at every call, and the fusion of the N x N blocks is a 1x1
convolution with a block-diagonal kernel: convolution, padding, ELU and pixel shuffle are all
that is left.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdnn.models.fdnn import FDNN
from fdnn.models.layers.deconv import SameDeconv, UpDeconv
from fdnn.models.network import Network


def _convolution(kernel: Tensor, bias: Tensor | None) -> nn.Conv2d:
    conv = nn.Conv2d(kernel.shape[1], kernel.shape[0], kernel.shape[2], device=kernel.device)
    assert conv.bias is not None
    assert bias is not None
    with torch.no_grad():
        conv.weight.copy_(kernel)
        conv.bias.copy_(bias)
    return conv


def _same(layer: SameDeconv) -> nn.Sequential:
    kernel = layer.weight.transpose(0, 1).flip(2, 3)
    after = layer.crop_before
    before = layer.kernel_size[0] - 1 - after
    return nn.Sequential(
        nn.ZeroPad2d((before, after, before, after)), _convolution(kernel, layer.bias), nn.ELU()
    )


def _up(layer: UpDeconv, fuse: SameDeconv) -> nn.Sequential:
    """Each LR pixel's scale x scale block, fused, as channels."""
    assert layer.bias is not None
    assert fuse.bias is not None
    block = layer.kernel_size[0] ** 2
    kernel = layer.weight.permute(2, 3, 1, 0).reshape(-1, layer.in_channels, 1, 1)
    identity = torch.eye(block, device=fuse.weight.device)
    diagonal = torch.kron(identity, fuse.weight.view(1, -1))
    return nn.Sequential(
        _convolution(kernel, layer.bias.repeat(block)),
        nn.ELU(),
        _convolution(diagonal[:, :, None, None], fuse.bias.repeat(block)),
    )


class ConvolutionalFDNN(Network):
    """An FDNN whose last restoration layer upsamples, with copies of its weights.

    Args:
        net: Gives the sizes and the weights.

    Raises:
        ValueError: If ``net`` upsamples earlier.
    """

    def __init__(self, net: FDNN) -> None:
        super().__init__(net.scale)
        *layers, last = net.restoration()
        if not isinstance(last, UpDeconv):
            raise ValueError(f"upsample_at={net.upsample_at} is not the last restoration layer")
        self.top = nn.Sequential(
            _convolution(net.enhance.weight.transpose(0, 1), net.enhance.bias),
            nn.ELU(),
            *[_same(layer) for layer in layers if isinstance(layer, SameDeconv)],
            _up(last, net.fuse),
        )
        self.residual = _up(net.residual.expand, net.residual.fuse)
        self._context = net.context

    @property
    def context(self) -> int:
        """LR pixels to each side on which an output pixel depends, at most."""
        return self._context

    def forward(self, lr: Tensor) -> Tensor:
        """Map ``(n, 1, h, w)`` to ``(n, 1, scale * h, scale * w)``."""
        return F.pixel_shuffle(self.top(lr) + self.residual(lr), self.scale)
