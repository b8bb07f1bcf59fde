"""ESPCN (Shi et al.: Real-time super-resolution using a sub-pixel network, CVPR 2016).

::

    lr --- 5x5, 64, tanh --- 3x3, 32, tanh --- 3x3, N^2 --- pixel shuffle --- sr

Layers as in Sec. 3.2 there. The border is not mentioned; the border pixel is repeated here.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from fdnn.models.layers.convolution import SameConv
from fdnn.models.network import Network


class ESPCN(Network):
    """Two layers at LR size, then one filter for each pixel of the N x N output block.

    Args:
        scale: N, the magnification.
        filters: Filters of the first two layers.
    """

    def __init__(self, scale: int, filters: tuple[int, int] = (64, 32)) -> None:
        super().__init__(scale)
        self.arguments |= {"filters": list(filters)}
        self.extract = SameConv(1, filters[0], 5, "replicate")
        self.map = SameConv(filters[0], filters[1], 3, "replicate")
        self.reconstruct = SameConv(filters[1], scale**2, 3, "replicate")

    @property
    def context(self) -> int:
        """Half of what the kernels cover together: 2 + 1 + 1."""
        return 4

    def forward(self, lr: Tensor) -> Tensor:
        """Map ``(n, 1, h, w)`` in [0, 1] to ``(n, 1, scale * h, scale * w)``, not clamped."""
        x = torch.tanh(self.map(torch.tanh(self.extract(lr))))
        return F.pixel_shuffle(self.reconstruct(x), self.scale)
