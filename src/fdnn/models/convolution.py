"""The convolution layer of the networks that FDNN is compared with."""

from __future__ import annotations

from typing import Literal

from torch import nn

#: What lies beyond the border: black, or the border pixel.
Border = Literal["zeros", "replicate"]


class SameConv(nn.Conv2d):
    """Convolution with stride 1 whose output has the size of its input.

    Starts with He's normal initialisation for rectifiers and biases of zero.

    Args:
        in_channels: Input feature maps.
        out_channels: Filters.
        kernel_size: Odd.
        border: What lies beyond the border.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, border: Border = "zeros"
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            padding=kernel_size // 2,
            padding_mode=border,
        )

    def reset_parameters(self) -> None:
        """Draw new weights."""
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        assert self.bias is not None
        nn.init.zeros_(self.bias)
