"""Whole images through a network: colour, alpha, any bit depth, any size.

Free of Lightning, so that using a trained network costs what PyTorch costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fdnn.images.alpha import fill_hidden
from fdnn.images.luma import rgb_to_ycbcr, ycbcr_to_rgb
from fdnn.images.pillow import Array
from fdnn.images.resize import imresize
from fdnn.models import Network
from fdnn.models.layers.polyphase import REACH

#: Default side of a tile in LR pixels: bounds memory at well under 1 GiB for FDNN and its variants,
#: on a GPU at about 1 GiB; at 1 to 3 GiB for networks with many maps at HR size, as SML and ESCN.
TILE = 256

#: Below this alpha (half a step of 8 bits) nobody sees the colour.
INVISIBLE = 1 / 512

Region = tuple[slice, slice]


class _TensorFloat32:
    """Keep NVIDIA's TF32 off while any thread asks for it; the last one restores the setting."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.users = 0
        self.before = ""

    def switch_off(self) -> None:
        switch: Any = torch.backends.cudnn
        with self.lock:
            if self.users == 0:
                self.before = switch.conv.fp32_precision
                switch.conv.fp32_precision = "ieee"
            self.users += 1

    def restore(self) -> None:
        switch: Any = torch.backends.cudnn
        with self.lock:
            self.users -= 1
            if self.users == 0:
                switch.conv.fp32_precision = self.before


_TF32 = _TensorFloat32()


@contextmanager
def full_float32(device: torch.device) -> Iterator[None]:
    """Multiply float32 numbers as such: without autocast, and without NVIDIA's TF32.

    TF32 keeps 10 of their 23 binary digits in convolutions, which moves scores by 0.002 dB.
    Its switch belongs to the process. It stays off until the last thread leaves.
    """
    cuda = device.type == "cuda"
    if cuda:
        _TF32.switch_off()
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        if cuda:
            _TF32.restore()


class Piece(NamedTuple):
    """A tile of an image, as rows and columns."""

    #: The tile with its overlap, in the LR image.
    lr: Region
    #: The tile without overlap, in the magnified piece.
    inner: Region
    #: The tile without overlap, in the SR image.
    sr: Region


def pieces(height: int, width: int, tile: int, margin: int, scale: int) -> Iterator[Piece]:
    """Cut an image into tiles that overlap.

    Args:
        height: Of the LR image.
        width: Of the LR image.
        tile: Side of a tile in LR pixels, without the overlap.
        margin: Overlap to each side in LR pixels.
        scale: Magnification.

    Yields:
        Tiles row by row; their ``sr`` parts cover the result once.

    Raises:
        ValueError: If ``tile`` is not a positive whole number.
    """
    _check_tile(tile)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            y0, x0 = max(top - margin, 0), max(left - margin, 0)
            bottom, right = min(top + tile, height), min(left + tile, width)
            yield Piece(
                (slice(y0, min(bottom + margin, height)), slice(x0, min(right + margin, width))),
                (
                    slice(scale * (top - y0), scale * (bottom - y0)),
                    slice(scale * (left - x0), scale * (right - x0)),
                ),
                (slice(scale * top, scale * bottom), slice(scale * left, scale * right)),
            )


def _check_tile(tile: int) -> None:
    if not isinstance(tile, Integral) or tile < 1:
        raise ValueError(f"tile must be a whole number, at least 1, got {tile}")


@torch.inference_mode()
def upscale_luma(net: Network, lr: Tensor, tile: int = TILE) -> Tensor:
    """Run a network over an image of any size, piece by piece.

    Neighbouring tiles overlap by the network's ``context``, so that every output pixel sees
    all that it depends on: the result equals that of the whole image at once, up to rounding
    in the last bits.

    Args:
        net: Any network of :mod:`fdnn.models`.
        lr: ``(1, 1, h, w)`` in [0, 1].
        tile: Side of a tile in LR pixels, without the overlap.

    Returns:
        ``(1, 1, scale * h, scale * w)``, not clamped, on the device of ``lr``.

    Raises:
        ValueError: If ``tile`` is not a positive whole number.
    """
    _check_tile(tile)
    height, width = lr.shape[-2:]
    if tile >= max(height, width):
        whole: Tensor = net(lr)
        return whole
    scale = net.scale
    sr = lr.new_empty(1, 1, scale * height, scale * width)
    for piece in pieces(height, width, tile, net.context, scale):
        sr[(..., *piece.sr)] = net(lr[(..., *piece.lr)])[(..., *piece.inner)]
    return sr


@torch.no_grad()
def upscale_planes(net: Network, image: Tensor, tile: int = TILE) -> Tensor:
    """Magnify an image, keeping colour, alpha and dtype; memory is that of image, result, tile.

    The network works on the BT.601 luma; chroma and alpha are magnified by MATLAB's bicubic
    (as the papers show their colour results). Beside transparent pixels:

    * colours there do not count, see :mod:`fdnn.images.alpha`;
    * colour is multiplied by alpha, magnified by bicubic and divided by the magnified alpha;
      what the network adds to bicubic is added to that. Dividing the network's own output
      would leave fringes, because its edges are not where those of the alpha are.

    Args:
        net: Any network of :mod:`fdnn.models`.
        image: ``(c, h, w)``, c = 1 (gray), 2 (gray + alpha), 3 (RGB) or 4 (RGB + alpha); uint8,
            uint16, or floating point in [0, 1].
        tile: See :func:`upscale_luma`.

    Returns:
        ``(c, scale * h, scale * w)`` with the dtype of ``image``, on its device, with channels
        last in memory; floating-point results are clipped to [0, 1].

    Raises:
        ValueError: If ``tile`` is not positive, or the image is empty or has other channels.
    """
    if image.dim() != 3 or image.shape[0] not in {1, 2, 3, 4} or 0 in image.shape:
        raise ValueError(f"an image has 1 to 4 channels and some pixels, got {tuple(image.shape)}")
    count, height, width = image.shape
    scale, peak = net.scale, _peak(image.dtype)
    if count in {2, 4}:
        image = fill_hidden(image)
    sr = torch.empty(
        (scale * height, scale * width, count), dtype=image.dtype, device=image.device
    ).permute(2, 0, 1)
    margin = max(net.context, REACH)
    for piece in pieces(height, width, tile, margin, scale):
        lr = image[(slice(None), *piece.lr)].cpu().double() / peak
        values = _magnify(net, lr)[(slice(None), *piece.inner)].clamp(0, 1)
        if not image.dtype.is_floating_point:
            values = torch.floor(values * peak + 0.5)
        sr[(slice(None), *piece.sr)] = values.to(image.dtype)
    return sr


def upscale_pixels(net: Network, image: Array, tile: int = TILE) -> Array:
    """Magnify an array of pixels, see :func:`upscale_planes`.

    Args:
        net: Any network of :mod:`fdnn.models`.
        image: ``(h, w)`` or ``(h, w, c)``, c = 1 to 4; uint8 or uint16 as
            :func:`fdnn.images.io.read_image` returns it, or floating point in [0, 1].
        tile: See :func:`upscale_luma`.

    Returns:
        ``(scale * h, scale * w[, c])`` with the dtype of ``image``.

    Raises:
        ValueError: As :func:`upscale_planes` does.
    """
    pixels = np.array(image, dtype=image.dtype.newbyteorder("="))  # torch wants them writable
    planes = torch.from_numpy(pixels[..., None] if image.ndim == 2 else pixels).permute(2, 0, 1)
    sr: Array = upscale_planes(net, planes, tile).permute(1, 2, 0).numpy()
    return sr[..., 0] if image.ndim == 2 else sr


def _peak(dtype: torch.dtype) -> float:
    return 1.0 if dtype.is_floating_point else float(torch.iinfo(dtype).max)


def _magnify(net: Network, lr: Tensor) -> Tensor:
    """Map ``(c, h, w)`` float64 in [0, 1] to ``(c, scale * h, scale * w)``, not clamped."""
    scale = net.scale
    colour, alpha = (lr[:-1], lr[-1:]) if lr.shape[0] in {2, 4} else (lr, None)
    planes = _to_ycbcr(colour)
    detailed = _run(net, planes[:1])
    if alpha is None or bool((alpha == 1).all()):
        sr = torch.cat([detailed, imresize(planes[1:], scale)]) if len(planes) > 1 else detailed
        alpha_sr = torch.ones_like(detailed)
    else:
        alpha_sr = imresize(alpha, scale)
        plain = imresize(planes, scale)
        weighted = imresize(planes * alpha, scale) / alpha_sr.clamp(min=INVISIBLE)
        sr = torch.where(alpha_sr > INVISIBLE, weighted, plain)
        sr = torch.cat([sr[:1] + detailed - plain[:1], sr[1:]])
    sr = _from_ycbcr(sr)
    return sr if alpha is None else torch.cat([sr, alpha_sr])


def _run(net: Network, luma: Tensor) -> Tensor:
    own = next(net.parameters(), None)
    lr = luma[None].float() if own is None else luma[None].to(own.device, own.dtype)
    with torch.inference_mode(), full_float32(lr.device):
        sr: Tensor = net(lr)
    return sr[0].cpu().double()


def _to_ycbcr(colour: Tensor) -> Tensor:
    if len(colour) == 1:
        return colour
    ycbcr = torch.from_numpy(rgb_to_ycbcr(colour.permute(1, 2, 0).numpy()))
    return (ycbcr / 255).permute(2, 0, 1).contiguous()


def _from_ycbcr(planes: Tensor) -> Tensor:
    if len(planes) == 1:
        return planes
    rgb = ycbcr_to_rgb(planes.permute(1, 2, 0).numpy() * 255)
    return torch.from_numpy(rgb).permute(2, 0, 1)
