"""Side-by-side pictures: bicubic | network | ground truth, each with its PSNR."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from fdnn.images import Array, luma, modcrop, read_image, split_alpha
from fdnn.inference import upscale_pixels
from fdnn.metrics import psnr, shave, to_8_bit
from fdnn.models import Bicubic, Network
from fdnn.resize import imresize

CAPTION = 22


def shrink(image: Array, scale: int) -> Array:
    """Shrink an 8-bit image ``(h, w[, c])`` by MATLAB's bicubic, rounded to 8 bits."""
    planes = torch.from_numpy(np.atleast_3d(image).copy()).permute(2, 0, 1).double()
    small = to_8_bit(imresize(planes, 1 / scale)).to(torch.uint8).permute(1, 2, 0).numpy()
    return small[..., 0] if image.ndim == 2 else small


def _decibels(image: Array, hr: Array, scale: int) -> float:
    pair = [torch.from_numpy(luma(x).copy())[None, None] for x in (image, hr)]
    return float(psnr(shave(to_8_bit(pair[0]), scale), shave(to_8_bit(pair[1]), scale)))


def strip(path: Path, networks: Mapping[str, Network], scale: int, window: int = 300) -> Array:
    """Make a picture of one HR image, shrunk and magnified again by several networks.

    The LR image is made in colour and rounded to 8 bits, as an image file would be, so that
    its PSNR (of the whole image's luma) differs a little from that of the protocol.

    Args:
        path: The HR image.
        networks: Caption -> network.
        scale: Magnification.
        window: The middle of the image is shown, at most so many pixels wide and high.

    Returns:
        ``(h, w, 3)`` uint8: one panel per network, then the HR image.
    """
    hr, _ = split_alpha(modcrop(read_image(path), scale))
    if hr.dtype == np.uint16:
        hr = (hr // 257).astype(np.uint8)
    lr = shrink(hr, scale)
    panels = []
    for caption, net in {"bicubic": Bicubic(scale), **networks}.items():
        sr = upscale_pixels(net, lr)
        panels.append((f"{caption} {_decibels(sr, hr, scale):.2f} dB", sr))
    panels.append(("original", hr))
    return np.concatenate([_panel(caption, image, window) for caption, image in panels], axis=1)


def _panel(caption: str, image: Array, window: int) -> Array:
    top, left = (max(0, (n - window) // 2) for n in image.shape[:2])
    picture = Image.fromarray(image[top : top + window, left : left + window]).convert("RGB")
    panel = Image.new("RGB", (picture.width + 4, picture.height + CAPTION), "white")
    panel.paste(picture, (2, CAPTION))
    font = ImageFont.load_default(13)
    ImageDraw.Draw(panel).text((4, 3), caption, fill="black", font=font)
    return np.asarray(panel)
