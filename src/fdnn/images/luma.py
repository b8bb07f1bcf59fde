"""The pixels that super-resolution papers measure: luma, and images cropped to whole LR pixels.

Images are arrays as :func:`fdnn.images.io.read_image` returns them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fdnn.files.errors import ImageError
from fdnn.images.pillow import Array

# BT.601 in studio range, for R, G, B in [0, 1]: MATLAB's rgb2ycbcr and its inverse.
_TO_YCBCR = np.array(
    [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]
)
_OFFSET = np.array([16.0, 128.0, 128.0])
_TO_RGB = np.linalg.inv(_TO_YCBCR)


def split_alpha(image: Array) -> tuple[Array, Array | None]:
    """Split an image into its colour ``(h, w)`` or ``(h, w, 3)`` and its alpha ``(h, w)``."""
    if image.ndim == 2:
        return image, None
    if image.shape[2] == 2:
        return image[..., 0], image[..., 1]
    if image.shape[2] == 4:
        return image[..., :3], image[..., 3]
    return image, None


def rgb_to_ycbcr(rgb: Array) -> NDArray[np.float64]:
    """Convert RGB ``(h, w, 3)`` in [0, 1] to BT.601 YCbCr: Y in [16, 235], Cb, Cr in [16, 240]."""
    return np.asarray(rgb @ _TO_YCBCR.T + _OFFSET)


def ycbcr_to_rgb(ycbcr: Array) -> NDArray[np.float64]:
    """Invert :func:`rgb_to_ycbcr`; the result may leave [0, 1] and is not clipped."""
    return np.asarray((ycbcr - _OFFSET) @ _TO_RGB.T)


def luma(image: Array) -> NDArray[np.float64]:
    """Compute the channel that super-resolution papers measure.

    BT.601 luma in studio range, rounded to the bit depth of the image as MATLAB's
    ``rgb2ycbcr`` does for integer images. A gray image is its own luma. Alpha is ignored.

    Args:
        image: As ``read_image`` returns it.

    Returns:
        ``(h, w)`` float64 in [0, 255]; 16-bit images keep steps of 1/257.
    """
    colour, _ = split_alpha(image)
    peak = float(np.iinfo(image.dtype).max)
    if colour.ndim == 2:
        return colour * (255.0 / peak)
    y = rgb_to_ycbcr(colour / peak)[..., 0] * (peak / 255.0)
    return np.asarray(np.floor(y + 0.5) * (255.0 / peak))


def modcrop(image: Array, scale: int, name: Path | str = "image") -> Array:
    """Crop bottom and right so that height and width are multiples of ``scale``.

    Args:
        image: ``(h, w)`` or ``(h, w, c)``.
        scale: Magnification.
        name: What to call it in messages.

    Raises:
        ImageError: If nothing would be left.
    """
    height, width = (n - n % scale for n in image.shape[:2])
    if not (height and width):
        raise ImageError(f"{name}: {image.shape[1]}x{image.shape[0]} is too small for x{scale}")
    return image[:height, :width]


def plane(image: Array) -> Tensor:
    """Make of the pixels ``(h, w)`` of one channel a float64 tensor ``(1, 1, h, w)``."""
    return torch.from_numpy(np.ascontiguousarray(image, dtype=np.float64))[None, None]


def to_8_bit(image: Tensor) -> Tensor:
    """Clip to [0, 255] and round half up, as MATLAB's ``uint8`` does; dtype is kept."""
    return torch.floor(image.clamp(0, 255) + 0.5)
