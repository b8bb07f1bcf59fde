"""MATLAB's ``imresize`` (bicubic), reproduced to the last pixel.

Every published super-resolution score rests on this function: the LR images are
``imresize(HR, 1/scale)``, and other libraries' bicubic filters give other LR images
(no antialiasing, another cubic, another border), which moves PSNR by tenths of a dB.

Two generations of MATLAB are offered by name, because both made published data:

* ``"r2017b"`` (R2017b and later, floating-point input): out-of-range samples are
  mirrored and nothing is rounded. This is the one the evaluation protocol uses.
* ``"legacy_uint8"`` (older releases, 8-bit input): out-of-range samples repeat the
  border pixel, and the result is rounded to 8 bits after each of the two passes.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from fdnn.files.errors import UserError
from fdnn.images.pillow import Array

MatlabGeneration = Literal["r2017b", "legacy_uint8"]

CUBIC_SUPPORT = 4.0


def cubic(x: Tensor) -> Tensor:
    """Evaluate Keys' cubic convolution kernel with a = -0.5.

    Args:
        x: Distances in pixels, any shape.

    Returns:
        The kernel's values, same shape; zero beyond a distance of 2.
    """
    a = x.abs()
    near = 1.5 * a**3 - 2.5 * a**2 + 1
    far = -0.5 * a**3 + 2.5 * a**2 - 4 * a + 2
    return near * (a <= 1) + far * ((a > 1) & (a <= 2))


def contributions(
    in_length: int, out_length: int, scale: float, mirror: bool = True
) -> tuple[Tensor, Tensor]:
    """Compute which input samples make up each output sample along one axis, and their weights.

    When shrinking, the kernel is widened by ``1/scale`` (antialiasing). Weights sum to 1
    for each output sample.

    Args:
        in_length: Number of input samples.
        out_length: Number of output samples.
        scale: Output samples per input sample, above 0.
        mirror: Mirror the signal at its ends (R2017b); otherwise repeat the end sample.

    Returns:
        Weights ``(out_length, taps)`` in float64 and 0-based indices ``(out_length, taps)``.
    """
    shrink = min(scale, 1.0)
    width = CUBIC_SUPPORT / shrink
    # MATLAB counts samples from 1.
    centre = torch.arange(1, out_length + 1, dtype=torch.float64) / scale + 0.5 * (1 - 1 / scale)
    first = torch.floor(centre - width / 2)
    taps = math.ceil(width) + 2
    positions = first[:, None] + torch.arange(taps, dtype=torch.float64)
    weights = shrink * cubic(shrink * (centre[:, None] - positions))
    weights = weights / weights.sum(dim=1, keepdim=True)

    indices = positions.long() - 1
    if mirror:
        indices = indices.remainder(2 * in_length)
        indices = torch.where(indices < in_length, indices, 2 * in_length - 1 - indices)
    else:
        indices = indices.clamp(0, in_length - 1)

    used = (weights != 0).any(dim=0)
    return weights[:, used], indices[:, used]


def _resize_rows(image: Tensor, out_length: int, scale: float, mirror: bool) -> Tensor:
    """Resize ``(..., h, w)`` along h."""
    weights, indices = contributions(image.shape[-2], out_length, scale, mirror)
    weights = weights.to(device=image.device, dtype=image.dtype)
    indices = indices.to(image.device)
    # One tap at a time: memory stays at a few images, whatever the width of the kernel.
    out = image.index_select(-2, indices[:, 0]) * weights[:, 0, None]
    for tap in range(1, weights.shape[1]):
        out.addcmul_(image.index_select(-2, indices[:, tap]), weights[:, tap, None])
    return out


def imresize(
    image: Tensor,
    scale: float | None = None,
    *,
    size: tuple[int, int] | None = None,
    generation: MatlabGeneration = "r2017b",
) -> Tensor:
    """Resize the last two dimensions as MATLAB's ``imresize(image, scale, 'bicubic')`` does.

    Args:
        image: ``(..., h, w)``. ``"r2017b"`` takes float32 or float64 in any value range
            (compute in float64 to match MATLAB); ``"legacy_uint8"`` takes uint8.
        scale: Output pixels per input pixel, the same for both axes; the output size is
            ``ceil(scale * size)``.
        size: Output ``(height, width)`` instead of ``scale``.
        generation: Which MATLAB to reproduce, see the module's text.

    Returns:
        The resized image ``(..., h', w')`` with the dtype of ``image``. Floating-point
        results are neither clipped nor rounded.

    Raises:
        ValueError: If not exactly one of ``scale`` and ``size`` is given, if it is not
            positive, if the image is empty, or if there is no such generation or the dtype
            does not fit it.
    """
    if (scale is None) == (size is None):
        raise ValueError(f"imresize takes either scale or size, got scale={scale}, size={size}")
    if image.dim() < 2 or 0 in image.shape:
        raise ValueError(f"imresize takes a non-empty (..., h, w) image, got {tuple(image.shape)}")
    legacy = generation == "legacy_uint8"
    if not legacy and generation != "r2017b":
        raise ValueError(f"generation must be r2017b or legacy_uint8, got {generation!r}")
    if legacy and image.dtype != torch.uint8:
        raise ValueError(f"legacy_uint8 takes a uint8 image, got {image.dtype}")
    if not legacy and not image.is_floating_point():
        raise ValueError(f"r2017b takes a float image, got {image.dtype}; convert with .double()")

    height, width = image.shape[-2:]
    if scale is not None:
        if not scale > 0:
            raise ValueError(f"scale must be above 0, got {scale}")
        size = (math.ceil(scale * height), math.ceil(scale * width))
        scales = (float(scale), float(scale))
    else:
        assert size is not None
        if min(size) < 1:
            raise ValueError(f"size must be at least 1x1, got {size}")
        scales = (size[0] / height, size[1] / width)

    out = image.double() if legacy else image
    # MATLAB resizes the axis with the smaller scale first, rows where they are equal.
    for axis in sorted((0, 1), key=lambda axis: scales[axis]):
        out = out.mT.contiguous() if axis else out
        out = _resize_rows(out, size[axis], scales[axis], mirror=not legacy)
        out = out.mT.contiguous() if axis else out
        if legacy:
            out = torch.floor(out.clamp(0, 255) + 0.5)
    return out.to(image.dtype)


def shrink(image: Array, scale: int, generation: MatlabGeneration = "r2017b") -> Array:
    """Shrink the pixels of an image by ``scale``, rounded to its bit depth as MATLAB rounds.

    Args:
        image: uint8 or uint16, ``(h, w)`` or ``(h, w, c)``, cropped to a multiple of ``scale``.
        scale: Factor.
        generation: See the head of this file; ``legacy_uint8`` takes uint8 only.

    Returns:
        ``(h / scale, w / scale[, c])`` of the same type.

    Raises:
        UserError: If the image is 16-bit and the generation is ``legacy_uint8``.
    """
    planes = torch.from_numpy(np.moveaxis(np.atleast_3d(image), -1, 0).copy())
    if generation == "legacy_uint8":
        if image.dtype != np.uint8:
            raise UserError("legacy_uint8 takes 8-bit images only; use --generation r2017b")
        small = imresize(planes, 1 / scale, generation=generation)
    else:
        peak = np.iinfo(image.dtype).max
        small = torch.floor(imresize(planes.double(), 1 / scale).clamp(0, peak) + 0.5)
    result = np.moveaxis(small.numpy().astype(image.dtype), 0, -1)
    return np.ascontiguousarray(result[..., 0] if image.ndim == 2 else result)
