"""FDNN deep: a bicubic base and 19 layers, to teach FDNN.

A variant of ours, not in the paper. Its output for the training images becomes the target of FDNN
(:mod:`fdnn.data.teachers`), whose pass takes a sixth of the time::

    lr --- 3x3 --(3x3 -- 3x3)+-- ... --(3x3 -- 3x3)+-- N x N --- 1x1 --(+)-- sr
     |                                               stride N           |
     +--------------------- bicubic kernel, stride N -------------------+

Nothing but the sums stands between the pairs of layers, and a pair adds a fraction of its output
(Lim et al. 2017, EDSR, where it is a tenth). At full strength the sums grew with training until
some patches came out hundreds of times too bright.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdnn.models.layers.deconv import SameDeconv, UpDeconv, glorot, up_and_fuse
from fdnn.models.layers.polyphase import REACH, PolyphaseBicubic
from fdnn.models.network import Network

#: Outputs of the N x N layer for each LR pixel: N**2 pixels times its filters.
BLOCK = 576
#: What a pair adds of its output.
SHARE = 0.2


class FDNNDeep(Network):
    """Pairs of 3x3 deconvolutions that correct the bicubic image.

    Args:
        scale: N, the magnification: 2, 3, 4, 6 or 8.
        channels: Filters of every layer but the last two.
        pairs: Pairs of layers, each with a skip connection around it.

    Raises:
        ValueError: If ``scale`` is none of these, or another number below 1.
    """

    def __init__(self, scale: int, channels: int = 128, pairs: int = 8) -> None:
        super().__init__(scale)
        if BLOCK % scale**2:
            raise ValueError(f"scale must be one of [2, 3, 4, 6, 8], got {scale}")
        if channels < 1 or pairs < 1:
            raise ValueError(f"channels={channels} and pairs={pairs} must be at least 1")
        self.arguments |= {"channels": channels, "pairs": pairs}
        self.first = SameDeconv(1, channels, 3, 1)
        self.restore = nn.ModuleList(SameDeconv(channels, channels, 3, 1) for _ in range(2 * pairs))
        self.up = UpDeconv(channels, BLOCK // scale**2, scale)
        self.fuse = SameDeconv(BLOCK // scale**2, 1, 1, crop_before=0)
        self.bicubic = PolyphaseBicubic(1, scale)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights: Glorot's, a tenth of them in the last layer.

        So the untrained network is close to bicubic interpolation.
        """
        glorot(self)
        with torch.no_grad():
            self.fuse.weight *= 0.1

    def layers(self) -> list[SameDeconv]:
        """List the layers that stand in pairs."""
        return cast("list[SameDeconv]", list(self.restore))

    @property
    def context(self) -> int:
        """LR pixels to each side on which an output pixel depends, at most."""
        return max(1 + len(self.restore), REACH)

    def forward(self, lr: Tensor) -> Tensor:
        """Magnify.

        Args:
            lr: ``(n, 1, h, w)`` in [0, 1].

        Returns:
            ``(n, 1, scale * h, scale * w)``, nominally in [0, 1], not clamped.
        """
        x = self.first(lr)
        layers = self.layers()
        for one, two in zip(layers[::2], layers[1::2], strict=True):
            x = x + SHARE * two(F.elu(one(x)))
        blocks = up_and_fuse(x, self.up, self.fuse)
        base: Tensor = self.bicubic(lr)
        return base + F.pixel_shuffle(blocks, self.scale)
