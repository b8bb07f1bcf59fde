"""The convolution layer of the networks that FDNN is compared with."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from fdnn.models.layers.deconv import check_channels

#: What lies beyond the border: black, or the border pixel.
Border = Literal["zeros", "replicate"]


class SameConv(nn.Conv2d):
    """Convolution with stride 1 whose output has the size of its input.

    Starts with He's normal initialisation for rectifiers and biases of zero.

    Args:
        in_channels: Input feature maps.
        out_channels: Filters.
        kernel_size: Odd, at least 1.
        border: What lies beyond the border.

    Raises:
        ValueError: If the kernel is even, a number of channels not positive, or the border
            another.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, border: Border = "zeros"
    ) -> None:
        check_channels(in_channels, out_channels)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(
                f"kernels of {type(self).__name__} must be odd and positive, got {kernel_size}"
            )
        if border not in ("zeros", "replicate"):
            raise ValueError(f"border must be zeros or replicate, got {border!r}")
        self.beyond = kernel_size // 2 if border == "replicate" else 0
        padding = 0 if self.beyond else kernel_size // 2
        super().__init__(in_channels, out_channels, kernel_size, padding=padding)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(n, in, h, w)`` to ``(n, out, h, w)``."""
        return super().forward(replicate(x, self.beyond))


def replicate(x: Tensor, pixels: int) -> Tensor:
    """Repeat the border of ``(..., h, w)`` so many times on each side.

    ``F.pad`` does the same, but the gradient that ``torch.compile`` makes of it fails in
    PyTorch 2.13 for images whose channels lie last in memory.
    """
    for axis in (-1, -2) if pixels else ():
        shape = list(x.shape)
        shape[axis] = pixels
        first, last = x.narrow(axis, 0, 1), x.narrow(axis, x.shape[axis] - 1, 1)
        x = torch.cat([first.expand(shape), x, last.expand(shape)], dim=axis)
    return x
