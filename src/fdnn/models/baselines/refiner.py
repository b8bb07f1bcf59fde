"""Networks that refine the bicubic-upsampled image: SRCNN, VDSR and their descendants."""

from __future__ import annotations

import math
from abc import abstractmethod

from torch import Tensor

from fdnn.models.layers.polyphase import PolyphaseBicubic
from fdnn.models.network import Network


class Refiner(Network):
    """Magnifies by bicubic interpolation, then works on the large image.

    Patches cut from an image mirror their own border in the interpolation, so that training
    should leave out a ``margin`` of two LR pixels (:class:`fdnn.training.datamodule.SRDataModule`).

    Args:
        scale: Magnification.
    """

    def __init__(self, scale: int) -> None:
        super().__init__(scale)
        self.upsample = PolyphaseBicubic(1, scale)

    @property
    @abstractmethod
    def reach(self) -> int:
        """Pixels of the large image to each side on which an output pixel depends."""

    @property
    def context(self) -> int:
        """LR pixels to each side on which an output pixel depends, at most."""
        # Of bicubic's four LR pixels two lie to each side of the farthest pixel's own place, which
        # is (reach - 1/2) / scale + 1/2 LR pixels away from an LR pixel's.
        return 1 + math.ceil((2 * self.reach - 1 + self.scale) / (2 * self.scale))

    @abstractmethod
    def refine(self, image: Tensor) -> Tensor:
        """Map the interpolated image ``(n, 1, H, W)`` to one of the same size."""

    def forward(self, lr: Tensor) -> Tensor:
        """Map ``(n, 1, h, w)`` in [0, 1] to ``(n, 1, scale * h, scale * w)``, not clamped."""
        return self.refine(self.upsample(lr))
