"""What each choice of the evaluation protocol costs in dB.

    python -m tools.benchmark.protocol --weights checkpoints/fdnn_x3 --sets Set5 Set14

One choice at a time is made otherwise, as other code makes it; everything else stays.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from fdnn.data.sets import find_set
from fdnn.evaluation.metrics import PEAK, psnr, shave, ssim
from fdnn.files.errors import UserError, one_line
from fdnn.images.io import read_image
from fdnn.images.luma import luma, modcrop, plane, rgb_to_ycbcr, split_alpha, to_8_bit, ycbcr_to_rgb
from fdnn.images.pillow import Array
from fdnn.images.resize import imresize
from fdnn.models import Bicubic, Network
from fdnn.models.weights import load

#: Maps an 8-bit image (modcropped) to SR and HR planes ``(1, c, h, w)`` in [0, 255], before
#: rounding and shaving.
Planes = Callable[[Array, Network], tuple[Tensor, Tensor]]


def _run(net: Network, lr: Tensor) -> Tensor:
    sr: Tensor = net(lr.float() / PEAK)
    return sr.double() * PEAK


def standard(image: Array, net: Network) -> tuple[Tensor, Tensor]:
    """Follow the protocol.

    Args:
        image: HR pixels, uint8, ``(h, w)`` or ``(h, w, c)``; so for the functions below.
        net: Network that maps luma to luma.

    Returns:
        SR and HR, ``(1, 1, H, W)`` float64 in [0, 255]; three channels of :func:`rgb`.
    """
    hr = plane(luma(image))
    return _run(net, imresize(hr, 1 / net.scale)), hr


def lr_rounded(image: Array, net: Network) -> tuple[Tensor, Tensor]:
    """Round LR to 8 bits, as an image file does."""
    hr = plane(luma(image))
    return _run(net, to_8_bit(imresize(hr, 1 / net.scale))), hr


def _shrunk_by(shrink: Callable[[Array, tuple[int, int]], Array]) -> Planes:
    def planes(image: Array, net: Network) -> tuple[Tensor, Tensor]:
        y = luma(image)
        size = (y.shape[1] // net.scale, y.shape[0] // net.scale)
        return _run(net, plane(shrink(y, size))), plane(y)

    return planes


def full_range(image: Array, net: Network) -> tuple[Tensor, Tensor]:
    """Take JPEG's luma (0..255), as Pillow's ``convert("L")`` does."""
    colour, _ = split_alpha(image)
    hr = plane(np.asarray(Image.fromarray(colour).convert("L")))
    return _run(net, imresize(hr, 1 / net.scale)), hr


def without_16(image: Array, net: Network) -> tuple[Tensor, Tensor]:
    """Forget the offset of 16 of studio range."""
    colour, _ = split_alpha(image)
    hr = plane(luma(image) - (16 if colour.ndim == 3 else 0))
    return _run(net, imresize(hr, 1 / net.scale)), hr


def rgb(image: Array, net: Network) -> tuple[Tensor, Tensor]:
    """Measure red, green and blue together; chroma magnified by bicubic."""
    colour, _ = split_alpha(image)
    if colour.ndim == 2:
        return standard(image, net)
    ycbcr = torch.from_numpy(rgb_to_ycbcr(colour / PEAK)).permute(2, 0, 1)
    small = imresize(ycbcr, 1 / net.scale)
    large = imresize(small, net.scale)
    large[:1] = _run(net, small[None, :1])[0]
    sr = PEAK * ycbcr_to_rgb(large.permute(1, 2, 0).numpy())
    return tuple(torch.from_numpy(x.copy()).double().permute(2, 0, 1)[None] for x in (sr, colour))  # type: ignore[return-value]


def _pillow(image: Array, size: tuple[int, int]) -> Array:
    small = Image.fromarray(image.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(small)


def _opencv(image: Array, size: tuple[int, int]) -> Array:
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC))


def _measure(
    paths: Sequence[str],
    net: Network,
    planes: Planes,
    rounded: bool = True,
    border: int | None = None,
) -> tuple[list[float], list[float], list[int]]:
    """Return PSNR, SSIM and number of values of each image."""
    figures: tuple[list[float], list[float], list[int]] = ([], [], [])
    for path in paths:
        image = read_image(path)
        if image.dtype != np.uint8:
            raise UserError(f"{path}: 16 bits; these choices are compared in 8")
        sr, hr = planes(modcrop(image, net.scale, path), net)
        sr = to_8_bit(sr) if rounded else sr.clamp(0, PEAK)
        cut = net.scale if border is None else border
        sr, hr = shave(sr, cut), shave(to_8_bit(hr), cut)
        figures[0].append(float(psnr(sr, hr)))
        channels = zip(torch.split(sr, 1, dim=1), torch.split(hr, 1, dim=1), strict=True)
        figures[1].append(float(np.mean([float(ssim(a, b)) for a, b in channels])))
        figures[2].append(sr.numel())
    return figures


@torch.inference_mode()
def costs(net: Network, set_name: str) -> dict[str, tuple[float, float]]:
    """Score a network on a set under the protocol and under each departure from it.

    Args:
        net: Any network.
        set_name: See :func:`fdnn.data.sets.find_set`; 8-bit images.

    Returns:
        Name of the choice -> (PSNR in dB, SSIM); the first is the protocol itself.
    """
    paths = [str(path) for path in find_set(set_name).paths]
    variants: dict[str, tuple[Planes, dict[str, bool | int]]] = {
        "the protocol": (standard, {}),
        "SR not rounded to 8 bits": (standard, {"rounded": False}),
        "LR rounded to 8 bits": (lr_rounded, {}),
        "nothing shaved off": (standard, {"border": 0}),
        "RGB instead of luma": (rgb, {}),
        "luma of full range (JPEG's)": (full_range, {}),
        "luma without the + 16": (without_16, {}),
        "LR by Pillow's bicubic": (_shrunk_by(_pillow), {}),
        "LR by OpenCV's bicubic": (_shrunk_by(_opencv), {}),
    }
    found = {}
    for name, (planes, options) in variants.items():
        decibels, similarity, sizes = _measure(paths, net, planes, **options)  # type: ignore[arg-type]
        found[name] = (float(np.mean(decibels)), float(np.mean(similarity)))
        if name == "the protocol":
            errors = np.average(10 ** (-np.array(decibels) / 10), weights=sizes)
            pooled = (float(-10 * np.log10(errors)), found[name][1])
    found["errors pooled over the set"] = pooled
    return found


@one_line
def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmark.protocol", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--weights", default="checkpoints/fdnn_x3", help="folder or file")
    parser.add_argument("--sets", nargs="+", default=["Set5", "Set14"])
    options = parser.parse_args(args)
    net = load(options.weights)
    for set_name in options.sets:
        table = Table(title=f"{set_name} x{net.scale}: PSNR / SSIM, difference to the protocol")
        names = (net.title, "Bicubic")
        for title in ("", *names):
            table.add_column(title, justify="left" if not title else "right")
        columns = [costs(network, set_name) for network in (net, Bicubic(net.scale))]
        for choice in columns[0]:
            cells = []
            for column in columns:
                (p, s), (p0, s0) = column[choice], column["the protocol"]
                first = choice == "the protocol"
                cells.append(f"{p:.3f} / {s:.4f}" if first else f"{p - p0:+.3f} / {s - s0:+.4f}")
            table.add_row(choice, *cells)
        Console(width=100).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
