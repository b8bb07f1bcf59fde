"""MATLAB's bicubic interpolation, as a network without parameters."""

from __future__ import annotations

from torch import Tensor

from fdnn.images.resize import imresize
from fdnn.models.network import Network


class Bicubic(Network):
    """The Bicubic row of the paper's tables.

    Args:
        scale: Magnification.
    """

    @property
    def context(self) -> int:
        """Keys' kernel reaches two samples far."""
        return 2

    def forward(self, lr: Tensor) -> Tensor:
        """Interpolate in float64; see :class:`Network`."""
        return imresize(lr.double(), self.scale)
