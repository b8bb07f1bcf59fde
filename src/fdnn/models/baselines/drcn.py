"""DRCN (Kim, Lee, Lee: Deeply-recursive network for super-resolution, CVPR 2016).

::

    bicubic(lr) --- 3x3, 3x3 ---> h0 --- 3x3 ---> h1 --- 3x3 (the same) ---> h2 ... h16
         |          embed                recurse                             |
         |                                                                   |
         +--- added to what 3x3, 3x3 (the same for all) make of each h ------+--- weighted sum: sr
                                reconstruct

16 recursions, 256 filters, ReLU, the interpolated image added to every reconstruction, learned
weights of the sum (Sec. 3 and training setup there): 20 layers deep, 1,774,080 weights.

Departure: the paper also supervises the 16 intermediate images, with a share of the loss that
it lowers to nothing; here the loss sees the sum alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdnn.models.baselines.refiner import Refiner
from fdnn.models.layers.convolution import SameConv


class DRCN(Refiner):
    """One convolution applied again and again.

    Args:
        scale: Magnification.
        recursions: Times that it is applied.
        channels: Filters of all layers but the last.

    Raises:
        ValueError: If it is never applied.
    """

    def __init__(self, scale: int, recursions: int = 16, channels: int = 256) -> None:
        if recursions < 1:
            raise ValueError(f"recursions must be at least 1, got {recursions}")
        super().__init__(scale)
        self.arguments |= {"recursions": recursions, "channels": channels}
        self.recursions = recursions
        self.embed = nn.ModuleList([SameConv(1, channels, 3), SameConv(channels, channels, 3)])
        self.recurse = SameConv(channels, channels, 3)
        # Training setup there: what is recursive starts as the identity, so that signals pass.
        nn.init.dirac_(self.recurse.weight)
        self.widen = SameConv(channels, channels, 3)
        self.reconstruct = SameConv(channels, 1, 3)
        self.shares = nn.Parameter(torch.full((recursions,), 1 / recursions))

    @property
    def reach(self) -> int:
        """One pixel a layer, of which there are two, the recursions, and two more."""
        return 2 + self.recursions + 2

    def refine(self, image: Tensor) -> Tensor:
        """See :class:`Refiner`."""
        h = image
        for layer in self.embed:
            h = F.relu(layer(h))
        sr = torch.zeros_like(image)
        for share in self.shares:
            h = F.relu(self.recurse(h))
            sr = sr + share * (image + self.reconstruct(F.relu(self.widen(h))))
        return sr
