"""Whole images through a network: colour, alpha, any bit depth, any size.

Free of Lightning, so that using a trained network costs what PyTorch costs.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fdnn.images import Array, rgb_to_ycbcr, split_alpha, ycbcr_to_rgb
from fdnn.models import Network
from fdnn.resize import imresize

#: Default side of a tile in LR pixels: bounds memory at well under 1 GiB for the shipped
#: networks.
TILE = 256


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
        ValueError: If ``tile`` is not positive.
    """
    if tile < 1:
        raise ValueError(f"tile must be at least 1, got {tile}")
    height, width = lr.shape[-2:]
    if max(height, width) <= tile:
        whole: Tensor = net(lr)
        return whole
    scale = net.scale
    margin = net.context
    sr = lr.new_empty(1, 1, scale * height, scale * width)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            y0, x0 = max(top - margin, 0), max(left - margin, 0)
            bottom, right = min(top + tile, height), min(left + tile, width)
            piece = net(lr[..., y0 : bottom + margin, x0 : right + margin])
            y, x = scale * (top - y0), scale * (left - x0)
            h, w = scale * (bottom - top), scale * (right - left)
            sr[..., scale * top : scale * bottom, scale * left : scale * right] = piece[
                ..., y : y + h, x : x + w
            ]
    return sr


def _bicubic(channel: Array, scale: int) -> Array:
    return imresize(torch.from_numpy(np.ascontiguousarray(channel)).double(), scale).numpy()


def upscale(net: Network, image: Array, tile: int = TILE) -> Array:
    """Magnify an image file's pixels, keeping colour, alpha and bit depth.

    The network works on the BT.601 luma; chroma and alpha are magnified by MATLAB's bicubic
    (as the papers show their colour results).

    Args:
        net: Any network of :mod:`fdnn.models`.
        image: ``(h, w)`` or ``(h, w, c)``, uint8 or uint16, c = 2, 3 or 4, as
            :func:`fdnn.images.read_image` returns it.
        tile: See :func:`upscale_luma`.

    Returns:
        ``(scale * h, scale * w[, c])`` with the dtype of ``image``.
    """
    scale = net.scale
    peak = float(np.iinfo(image.dtype).max)
    colour, alpha = split_alpha(image)
    parameter = next(net.parameters(), torch.zeros(()))

    def run(y: Array) -> Array:
        lr = torch.from_numpy(y).to(parameter.device, torch.float32)[None, None]
        return upscale_luma(net, lr, tile)[0, 0].double().cpu().numpy()

    if colour.ndim == 2:
        sr = run(colour / peak)[..., None]
    else:
        ycbcr = rgb_to_ycbcr(colour / peak)
        magnified = [
            run(ycbcr[..., 0] / 255) * 255,
            _bicubic(ycbcr[..., 1], scale),
            _bicubic(ycbcr[..., 2], scale),
        ]
        sr = ycbcr_to_rgb(np.stack(magnified, axis=-1))
    if alpha is not None:
        sr = np.concatenate([sr, _bicubic(alpha / peak, scale)[..., None]], axis=-1)
    pixels = np.floor(np.clip(sr, 0, 1) * peak + 0.5).astype(image.dtype)
    return pixels[..., 0] if image.ndim == 2 else pixels
