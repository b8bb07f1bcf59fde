"""What an exported file computes: luma to luma, or RGB to RGB with everything inside.

Plain convolutions, ELU, gathers and pixel shuffles, which every runtime has; any batch, height
and width from 1 upwards. :mod:`fdnn.export` writes these modules to files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdnn.images.luma import rgb_to_ycbcr, ycbcr_to_rgb
from fdnn.images.pillow import Array
from fdnn.inference.convolutional import ConvolutionalFDNN
from fdnn.models import FDNN
from fdnn.models.layers.polyphase import PolyphaseBicubic

Graph = Literal["luma", "rgb"]
Precision = Literal["fp32", "fp16"]


class Luma(nn.Module):
    """FDNN as convolutions.

    Args:
        net: Gives the sizes and the weights.
        precision: ``fp16`` keeps the weights and products of the deep channel in float16. The
            residual channel, which carries the brightness, input and output stay float32.

    Raises:
        ValueError: If ``net`` upsamples before its last restoration layer.
    """

    def __init__(self, net: FDNN, precision: Precision = "fp32") -> None:
        super().__init__()
        layers = ConvolutionalFDNN(net)
        self.scale = net.scale
        self.dtype = torch.float16 if precision == "fp16" else torch.float32
        self.top = layers.top.to(self.dtype)
        self.residual = layers.residual

    def forward(self, lr: Tensor) -> Tensor:
        """Magnify.

        Args:
            lr: ``(n, 1, h, w)`` float32 in [0, 1].

        Returns:
            ``(n, 1, scale * h, scale * w)`` float32, nominally in [0, 1], not clamped.
        """
        top = self.top(lr.to(self.dtype)).to(lr.dtype)
        return F.pixel_shuffle(top + self.residual(lr), self.scale)


class RGB(nn.Module):
    """RGB to RGB: the network on BT.601 luma (studio range), bicubic on chroma.

    Args:
        luma: Magnifies luma.
    """

    def __init__(self, luma: Luma) -> None:
        super().__init__()
        self.scale = luma.scale
        self.luma = luma
        self.chroma = PolyphaseBicubic(2, luma.scale)
        self.split = _as_convolution(lambda rgb: rgb_to_ycbcr(rgb) / 255)
        self.join = _as_convolution(lambda ycbcr: ycbcr_to_rgb(ycbcr * 255))

    def forward(self, lr: Tensor) -> Tensor:
        """Magnify.

        Args:
            lr: ``(n, 3, h, w)`` float32 RGB in [0, 1].

        Returns:
            ``(n, 3, scale * h, scale * w)`` float32 RGB, clamped to [0, 1].
        """
        ycbcr = self.split(lr)
        sr = torch.cat([self.luma(ycbcr[:, :1]), self.chroma(ycbcr[:, 1:])], dim=1)
        joined: Tensor = self.join(sr)
        return joined.clamp(0, 1)


def _as_convolution(affine: Callable[[Array], Array]) -> nn.Conv2d:
    """Turn an affine map of three channels into a 1x1 convolution with the same effect."""
    offset = affine(np.zeros(3))
    columns = affine(np.eye(3)) - offset
    conv = nn.Conv2d(3, 3, 1)
    assert conv.bias is not None
    with torch.no_grad():
        conv.weight.copy_(torch.from_numpy(columns.T)[..., None, None])
        conv.bias.copy_(torch.from_numpy(offset))
    return conv


def build(net: FDNN, graph: Graph, precision: Precision = "fp32") -> Luma | RGB:
    """Make the module to export, in evaluation mode; see :class:`Luma` and :class:`RGB`."""
    luma = Luma(net, precision)
    return (luma if graph == "luma" else RGB(luma)).eval()
