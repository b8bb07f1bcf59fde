"""What every network of this project promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

#: Largest magnification. Beyond, the weights of interpolation alone could take all memory.
MAX_SCALE = 8


class Network(nn.Module, ABC):
    """Magnifies luma images.

    Trains, tests, tiles and saves through these members alone.

    Args:
        scale: Magnification, 2 to 8.

    Attributes:
        scale: Magnification.
        arguments: What to call the class with to get the same network, less its weights.
        any_scale: Whether the same weights serve other scales, see :meth:`at`.
        fitted_by: The command that makes the weights, where ``fit`` has nothing to train.

    Raises:
        ValueError: If ``scale`` is no whole number, or out of range.
    """

    scale: int
    arguments: dict[str, Any]
    any_scale: bool = False
    fitted_by: str | None = None

    def __init__(self, scale: int) -> None:
        super().__init__()
        if scale not in range(2, MAX_SCALE + 1):
            raise ValueError(f"scale must be a whole number, 2 to {MAX_SCALE}, got {scale!r}")
        self.scale = scale
        self.arguments = {"scale": scale}

    @property
    def title(self) -> str:
        """What tables call the network."""
        return type(self).__name__

    @property
    @abstractmethod
    def context(self) -> int:
        """LR pixels to each side on which an output pixel depends, at most."""

    @abstractmethod
    def forward(self, lr: Tensor) -> Tensor:
        """Map ``(n, 1, h, w)`` in [0, 1] to ``(n, 1, scale * h, scale * w)``, not clamped.

        Clamping and rounding belong to the evaluation protocol, and happen there once.
        """

    def at(self, scale: int) -> Network:
        """Make a network for another scale that shares this one's parameters.

        Raises:
            ValueError: If the weights serve one scale only.
        """
        if scale == self.scale:
            return self
        raise ValueError(f"the weights of {self.title} serve x{self.scale} only, not x{scale}")
