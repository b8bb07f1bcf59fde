"""MATLAB's bicubic resizing by fixed ratios, as one small convolution.

Magnified by a whole number, each of the ``scale * scale`` output pixels that belong to an input
pixel has fixed weights; only the mirrored border depends on the size of the image. So it is where
blocks of pixels shrink to smaller blocks. Equal to :func:`fdnn.images.resize.imresize` to the
accuracy of float32, at a fraction of its time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdnn.images.resize import contributions

#: LR pixels, or blocks, that bicubic resizing reaches to each side.
REACH = 2


class PolyphaseBicubic(nn.Module):
    """MATLAB's ``imresize(image, scale / block, 'bicubic')``.

    It has no parameters and no entry in the state dict.

    Args:
        channels: Channels of the image.
        scale: Side of what a block becomes, not ``block``.
        block: Side of the blocks of pixels that the image consists of; single pixels are magnified.
    """

    kernel: Tensor

    def __init__(self, channels: int, scale: int, block: int = 1) -> None:
        super().__init__()
        self.channels = channels
        self.scale = scale
        self.block = block
        # Any block whose neighbours all lie inside shows the weights of all.
        blocks = 2 * REACH + 1
        with torch.device("cpu"):  # also where a network is only outlined, on the meta device
            weights, indices = contributions(block * blocks, scale * blocks, scale / block)
            own = slice(scale * REACH, scale * (REACH + 1))
            phases = torch.zeros(scale, block * blocks, dtype=weights.dtype)
            phases.scatter_add_(1, indices[own], weights[own])
            kernel = torch.einsum("ay,bx->abyx", phases, phases).flatten(0, 1)[:, None]
        self.register_buffer("kernel", kernel.repeat(channels, 1, 1, 1).float(), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Map ``(n, channels, block * h, block * w)`` to ``(n, channels, scale * h, scale * w)``.

        In float32 under autocast, too: what a network adds its details to must not lose digits.
        """
        for axis in (2, 3):
            index = _mirrored(image.shape[axis], REACH * self.block, image.device)
            image = image.index_select(axis, index)
        with torch.autocast(image.device.type, enabled=False):
            blocks = F.conv2d(image, self.kernel, stride=self.block, groups=self.channels)
        return F.pixel_shuffle(blocks, self.scale)


def _mirrored(length: int, border: int, device: torch.device) -> Tensor:
    """Count 0 to ``length - 1`` and ``border`` on at each end, mirrored as MATLAB does.

    The border is at most twice as long as the image.
    """
    index = torch.arange(-border, length + border, device=device)
    index = torch.maximum(index, -1 - index)
    index = torch.minimum(index, 2 * length - 1 - index)
    # What lies far beyond the far end has now come out at the near one.
    return torch.maximum(index, -1 - index)
