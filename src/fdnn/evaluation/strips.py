"""Side-by-side pictures: bicubic | network | ground truth, each with its PSNR."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from fdnn.evaluation.metrics import psnr, shave, ssim
from fdnn.images.io import read_image
from fdnn.images.luma import luma, modcrop, plane, split_alpha, to_8_bit
from fdnn.images.pillow import Array
from fdnn.images.resize import shrink
from fdnn.inference.tiles import upscale_pixels
from fdnn.models import Bicubic, Network

#: Pixels: the height of a caption, the sides of a strip's panels, the height of a comparison's.
CAPTION = 22
WINDOW = 300
HEIGHT = 240


def _planes(image: Array) -> Tensor:
    return to_8_bit(plane(luma(image)))


def _decibels(image: Array, hr: Array, scale: int) -> float:
    return float(psnr(shave(_planes(image), scale), shave(_planes(hr), scale)))


def _hr_and_lr(path: Path, scale: int) -> tuple[Array, Array]:
    """Read an HR image as 8 bits without alpha, and shrink it."""
    hr, _ = split_alpha(modcrop(read_image(path), scale, path))
    if hr.dtype == np.uint16:
        hr = np.rint(hr / 257).astype(np.uint8)
    return hr, shrink(hr, scale)


def strip(path: Path, networks: Mapping[str, Network], scale: int) -> Array:
    """Make a picture of one HR image, shrunk and magnified again by several networks.

    The LR image is made in colour and rounded to 8 bits, as an image file would be, so that
    its PSNR (of the whole image's luma) differs a little from that of the protocol.

    Args:
        path: The HR image.
        networks: Caption -> network.
        scale: Magnification.

    Returns:
        ``(h, w, 3)`` uint8: one panel per network, then the HR image; of each the middle, at most
        ``WINDOW`` pixels wide and high.
    """
    hr, lr = _hr_and_lr(path, scale)
    panels = []
    for caption, net in {"bicubic": Bicubic(scale), **networks}.items():
        sr = upscale_pixels(net, lr)
        panels.append((f"{caption} {_decibels(sr, hr, scale):.2f} dB", sr))
    panels.append(("original", hr))
    return np.concatenate([_panel(caption, image) for caption, image in panels], axis=1)


def _panel(caption: str, image: Array) -> Array:
    top, left = (max(0, (n - WINDOW) // 2) for n in image.shape[:2])
    picture = Image.fromarray(image[top : top + WINDOW, left : left + WINDOW]).convert("RGB")
    return _captioned(caption, picture)


def _captioned(caption: str, picture: Image.Image) -> Array:
    panel = Image.new("RGB", (picture.width + 4, picture.height + CAPTION), "white")
    panel.paste(picture, (2, CAPTION))
    font = ImageFont.load_default(13)
    ImageDraw.Draw(panel).text((4, 3), caption, fill="black", font=font)
    return np.asarray(panel)


def comparison(
    path: Path,
    networks: Mapping[str, Network],
    scale: int,
    box: tuple[int, int, int],
    title: str,
) -> Array:
    """Make a figure in the manner of the paper's Figs. 4-7: an image and crops of its versions.

    The versions are made as :func:`strip` makes them. The figures under each crop are those
    of the crop, by luma.

    Args:
        path: The HR image.
        networks: Caption -> network.
        scale: Magnification.
        box: Left, top and side of the crop in HR pixels; at least 11 a side.
        title: Caption of the whole image.

    Returns:
        ``(h, w, 3)`` uint8: the HR image with the crop marked, then the crop of the HR image, of
        bicubic's, and of each network's, their pixels repeated as often as ``HEIGHT`` has room.
    """
    left, top, side = box
    hr, lr = _hr_and_lr(path, scale)
    versions = {"original": hr, "bicubic": upscale_pixels(Bicubic(scale), lr)}
    versions |= {caption: upscale_pixels(net, lr) for caption, net in networks.items()}

    overview = Image.fromarray(hr).convert("RGB")
    ImageDraw.Draw(overview).rectangle((left, top, left + side, top + side), outline="red", width=3)
    overview = overview.resize((HEIGHT * overview.width // overview.height, HEIGHT))
    panels = [_captioned(title, overview)]
    times = max(1, HEIGHT // side)
    reference = hr[top : top + side, left : left + side]
    for caption, image in versions.items():
        crop = image[top : top + side, left : left + side]
        if caption != "original":
            y, y_hr = _planes(crop), _planes(reference)
            caption += f" {float(psnr(y, y_hr)):.2f} / {float(ssim(y, y_hr)):.4f}"
        enlarged = Image.fromarray(crop.repeat(times, 0).repeat(times, 1)).convert("RGB")
        panels.append(_captioned(caption, enlarged))
    tallest = max(panel.shape[0] for panel in panels)
    room = [((0, tallest - panel.shape[0]), (0, 0), (0, 0)) for panel in panels]
    filled = [np.pad(p, r, constant_values=255) for p, r in zip(panels, room, strict=True)]
    return np.concatenate(filled, axis=1)
