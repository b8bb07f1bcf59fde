"""MATLAB's bicubic resizing by fixed ratios, as one small convolution.

Magnified by a whole number, each of the ``scale * scale`` output pixels that belong to an input
pixel has fixed weights; only the mirrored border depends on the size of the image. Shrinking
blocks of pixels to smaller blocks is alike. Equal to :func:`fdnn.resize.imresize` to the accuracy
of float32, at a fraction of its time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdnn.resize import contributions

#: LR pixels that bicubic magnification reaches to each side.
REACH = 2


class PolyphaseBicubic(nn.Module):
    """MATLAB's ``imresize(image, scale, 'bicubic')`` for whole scales.

    It has no parameters and no entry in the state dict.

    Args:
        channels: Channels of the image.
        scale: Whole magnification, above 1.
    """

    kernel: Tensor

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__()
        self.channels = channels
        self.scale = scale
        # Any input pixel whose neighbours all lie inside shows the weights of all.
        pixel = REACH
        with torch.device("cpu"):  # also where a network is only outlined, on the meta device
            weights, indices = contributions(2 * REACH + 1, scale * (2 * REACH + 1), scale)
            own = slice(scale * pixel, scale * (pixel + 1))
            phases = torch.zeros(scale, 2 * REACH + 1, dtype=weights.dtype)
            phases.scatter_add_(1, indices[own], weights[own])
            kernel = torch.einsum("ay,bx->abyx", phases, phases).flatten(0, 1)[:, None]
        self.register_buffer("kernel", kernel.repeat(channels, 1, 1, 1).float(), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Map ``(n, channels, h, w)`` float32 to ``(n, channels, scale * h, scale * w)``.

        In float32 under autocast, too: what a network adds its details to must not lose digits.
        """
        for axis in (2, 3):
            image = image.index_select(axis, _mirrored(image.shape[axis], image.device))
        with torch.autocast(image.device.type, enabled=False):
            blocks = F.conv2d(image, self.kernel, groups=self.channels)
        return F.pixel_shuffle(blocks, self.scale)


class PolyphaseShrink(nn.Module):
    """MATLAB's ``imresize(image, small / large, 'bicubic')``, which smooths before it samples.

    It has no parameters and no entry in the state dict.

    Args:
        large: Side of the blocks that the image consists of.
        small: Side of what a block becomes, below ``large``.
    """

    kernel: Tensor

    def __init__(self, large: int, small: int) -> None:
        super().__init__()
        self.large = large
        self.small = small
        # The smoothing kernel ends two output pixels away, which is within two blocks.
        blocks = 2 * REACH + 1
        with torch.device("cpu"):
            weights, indices = contributions(large * blocks, small * blocks, small / large)
            own = slice(small * REACH, small * (REACH + 1))
            phases = torch.zeros(small, large * blocks, dtype=weights.dtype)
            phases.scatter_add_(1, indices[own], weights[own])
            kernel = torch.einsum("ay,bx->abyx", phases, phases).flatten(0, 1)[:, None]
        self.register_buffer("kernel", kernel.float(), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Map ``(n, 1, large * h, large * w)`` float32 to ``(n, 1, small * h, small * w)``."""
        for axis in (2, 3):
            length, border = image.shape[axis], REACH * self.large
            index = torch.arange(-border, length + border, device=image.device) % (2 * length)
            image = image.index_select(axis, torch.minimum(index, 2 * length - 1 - index))
        with torch.autocast(image.device.type, enabled=False):
            blocks = F.conv2d(image, self.kernel, stride=self.large)
        return F.pixel_shuffle(blocks, self.small)


def _mirrored(length: int, device: torch.device) -> Tensor:
    """Count 0 to ``length - 1`` and ``REACH`` on at each end, mirrored as MATLAB does."""
    index = torch.arange(-REACH, length + REACH, device=device)
    index = torch.maximum(index, -1 - index)
    # A single pixel is mirrored twice, which the clamp does as well.
    return torch.minimum(index, 2 * length - 1 - index).clamp(min=0)
