"""FDNN plus: what the paper's network reaches with a bicubic base and skip connections.

A variant of ours, not in the paper, beside the faithful :mod:`fdnn.models.fdnn`. Still ten
deconvolution layers, at most 0.3 M weights::

    lr --- 1x1 --- 3x3 --(3x3 -- 3x3)+--(3x3 -- 3x3)+--(3x3 -- 3x3)+-- N x N --- 1x1 --(+)-- sr
     |                                                                stride N           |
     +--------------------------- bicubic kernel, stride N ------------------------------+

What differs from the paper, and why:

* **The bicubic image instead of the residual channel.** The lower channel of Fig. 1 sees one
  LR pixel at a time and can only repeat it; all ten layers are needed to interpolate. Here a
  deconvolution with the fixed kernel of MATLAB's bicubic interpolation does that, and the
  layers learn what it misses.
* **Kernels are 3x3** instead of growing: at every layer an LR pixel sees its neighbours to
  both sides, and no half-pixel shifts need to cancel.
* **Skip connections** (``+``) around each pair of layers, before the ELU.
* **The filters of the N x N layer** are 576 / N**2, so that all scales cost the same.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdnn.models.fdnn import Enhancement
from fdnn.models.layers.deconv import SameDeconv, UpDeconv, glorot, up_and_fuse
from fdnn.models.layers.polyphase import REACH, PolyphaseBicubic
from fdnn.models.network import Network

#: Outputs of the N x N layer for each LR pixel: N**2 pixels times its filters.
BLOCK = 576


class FDNNPlus(Network):
    """Ten deconvolution layers that correct the bicubic image.

    Args:
        scale: N, the magnification: 2, 3, 4, 6 or 8.
        channels: Filters of every layer but the last two.
        skips: Whether there are skip connections.

    Raises:
        ValueError: If ``scale`` is none of these.
    """

    def __init__(self, scale: int, channels: int = 64, skips: bool = True) -> None:
        super().__init__(scale)
        if BLOCK % scale**2:
            raise ValueError(f"scale must be one of [2, 3, 4, 6, 8], got {scale}")
        self.arguments |= {"channels": channels, "skips": skips}
        self.skips = skips
        self.enhance = Enhancement(channels)
        self.restore = nn.ModuleList(SameDeconv(channels, channels, 3, 1) for _ in range(7))
        self.up = UpDeconv(channels, BLOCK // scale**2, scale)
        self.fuse = SameDeconv(BLOCK // scale**2, 1, 1, crop_before=0)
        self.bicubic = PolyphaseBicubic(1, scale)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights, as ``FDNN(init="spread")`` does; see there.

        The second layer of a pair has no identity of its own: the skip connection is one.
        """
        glorot(self)
        with torch.no_grad():
            self.enhance.spread()
            for i, layer in enumerate(self.layers()):
                layer.weight *= 0.5
                if not (self.skips and i and i % 2 == 0):
                    layer.weight[:, :, 1, 1] += torch.eye(layer.in_channels)
            self.fuse.weight *= 0.1

    def layers(self) -> list[SameDeconv]:
        """List the 3x3 layers."""
        return cast("list[SameDeconv]", list(self.restore))

    @property
    def context(self) -> int:
        """LR pixels to each side on which an output pixel depends, at most."""
        return max(len(self.restore), REACH)

    def forward(self, lr: Tensor) -> Tensor:
        """Magnify.

        Args:
            lr: ``(n, 1, h, w)`` in [0, 1].

        Returns:
            ``(n, 1, scale * h, scale * w)``, nominally in [0, 1], not clamped.
        """
        x = F.elu(self.enhance(lr))
        first, *pairs = self.layers()
        x = F.elu(first(x))
        for one, two in zip(pairs[::2], pairs[1::2], strict=True):
            y = two(F.elu(one(x)))
            x = F.elu(x + y if self.skips else y)
        blocks = up_and_fuse(x, self.up, self.fuse)
        base: Tensor = self.bicubic(lr)
        return base + F.pixel_shuffle(blocks, self.scale)
