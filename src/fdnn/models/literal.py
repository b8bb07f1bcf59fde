"""FDNN written down with ``nn.ConvTranspose2d`` and nothing else: the reference to compare with.

Slow on purpose. :class:`fdnn.models.FDNN` has the same state dict and gives the same output.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from fdnn.models.fdnn import FDNN
from fdnn.models.network import Network


class LiteralFDNN(Network):
    """The layers of an FDNN as the paper states them, with copies of its weights.

    Args:
        net: Gives the sizes and the weights.
    """

    def __init__(self, net: FDNN) -> None:
        super().__init__(net.scale)
        scale, channels = net.scale, net.fuse.in_channels
        self.kernels, self.upsample_at = net.kernels, net.upsample_at
        self.enhance = nn.ConvTranspose2d(1, channels, 1)
        self.restore = nn.ModuleDict(
            {f"{k}x": nn.ModuleList() for k in dict.fromkeys(self.kernels)}
        )
        for i, k in enumerate(self.kernels):
            stride = scale if i == self.upsample_at else 1
            layer = nn.ConvTranspose2d(channels, channels, k, stride)
            self.restore[f"{k}x"].append(layer)  # type: ignore[operator]
        self.fuse = nn.ConvTranspose2d(channels, 1, 1)
        self.residual = nn.ModuleDict(
            {
                "expand": nn.ConvTranspose2d(1, channels, scale, scale),
                "fuse": nn.ConvTranspose2d(channels, 1, 1),
            }
        )
        self.load_state_dict(net.state_dict())
        self._context = net.context

    @property
    def context(self) -> int:
        """LR pixels to each side on which an output pixel depends, at most."""
        return self._context

    def forward(self, lr: Tensor) -> Tensor:
        """Map ``(n, 1, h, w)`` to ``(n, 1, scale * h, scale * w)``."""
        x = F.elu(self.enhance(lr))
        evens = 0
        blocks = cast("Iterable[Iterable[nn.ConvTranspose2d]]", self.restore.values())
        layers = [layer for block in blocks for layer in block]
        for i, (k, layer) in enumerate(zip(self.kernels, layers, strict=True)):
            height, width = x.shape[-2:]
            x = layer(x)
            if i != self.upsample_at:
                before = (k - 1) // 2
                if k % 2 == 0:
                    # An even kernel has no centre: the side that loses more alternates.
                    before += evens % 2
                    evens += 1
                x = x[..., before : before + height, before : before + width]
            x = F.elu(x)
        residual = self.residual["fuse"](F.elu(self.residual["expand"](lr)))
        sr: Tensor = self.fuse(x) + residual
        return sr
