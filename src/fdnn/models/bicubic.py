"""MATLAB's bicubic interpolation, as a network without parameters."""

from __future__ import annotations

from torch import Tensor, nn

from fdnn.resize import imresize


class Bicubic(nn.Module):
    """The Bicubic row of the paper's tables.

    Args:
        scale: Magnification.
    """

    #: LR pixels to each side on which an output pixel depends.
    context = 2

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.arguments = {"scale": scale}

    def forward(self, lr: Tensor) -> Tensor:
        """Map ``(n, 1, h, w)`` to ``(n, 1, scale * h, scale * w)``, float64, not clamped."""
        return imresize(lr.double(), self.scale)
