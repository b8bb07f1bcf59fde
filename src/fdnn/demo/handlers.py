"""What the page does with an uploaded file; knows nothing of the page."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from fdnn.data.sets import ImageSet
from fdnn.demo import limits
from fdnn.evaluation.score import score
from fdnn.files.errors import UserError
from fdnn.files.home import expanded
from fdnn.images.io import read_picture, write_image
from fdnn.images.luma import luma, modcrop, split_alpha
from fdnn.images.metadata import Metadata
from fdnn.images.pillow import Array
from fdnn.images.resize import shrink
from fdnn.inference.engines import Engined
from fdnn.inference.tiles import upscale_luma, upscale_pixels
from fdnn.models import Bicubic, Network
from fdnn.models.weights import FILE_NAME, load

#: Side of the enlarged detail of a comparison, in pixels, and how many times it is enlarged.
DETAIL = 96
ENLARGE = 4


def find_networks(path: Path, names: str = "*") -> dict[str, Network]:
    """Load every network in a folder of weights.

    Args:
        path: A weight file, a folder with one, or a folder of such folders.
        names: Pattern for the names of such folders.

    Returns:
        Name of its folder or file -> network: FDNN first, then the others, each by name.

    Raises:
        UserError: If there is none, or one is damaged.
    """
    path = expanded(path)
    if path.is_dir() and not (path / FILE_NAME).exists():
        found = sorted(file.parent for file in path.glob(f"{names}/{FILE_NAME}"))
        if not found:
            raise UserError(
                f"no weights in {path}: looked for {names}/{FILE_NAME}; name them: --weights"
            )
        networks = {folder.name: load(folder) for folder in found}
        return dict(sorted(networks.items(), key=lambda item: item[1].title != "FDNN"))
    return {path.resolve().stem: load(path)}


@dataclass(frozen=True)
class Magnified:
    """An image magnified by bicubic and by a network.

    Attributes:
        result: The network's, of the bit depth and channels of the upload.
        before: Bicubic's, for the screen.
        after: The network's, for the screen.
        seconds: How long the network took.
        text: One line about it.
    """

    result: Path
    before: Path
    after: Path
    seconds: float
    text: str


def magnify(path: Path, net: Network, folder: Path) -> Magnified:
    """Magnify an image file and write what the page shows.

    Args:
        path: The upload.
        net: Any network of :mod:`fdnn.models`.
        folder: Where the PNG files go.

    Raises:
        UserError: If the file is not an image, damaged, or too large; the text is for the page.
    """
    scale = net.scale
    limits.check(path, scale)
    lr, about = _read(path)
    start = time.perf_counter()
    sr = upscale_pixels(net, lr)
    seconds = time.perf_counter() - start
    result = folder / f"{path.stem}_x{scale}.png"
    write_image(result, sr, about)
    before, after = folder / "bicubic.png", result
    write_image(before, for_screen(upscale_pixels(Bicubic(scale), lr)), about)
    screen = for_screen(sr)
    if screen is not sr:
        after = folder / "network.png"
        write_image(after, screen, about)
    text = f"{_size(lr)} → **{_size(sr)}** pixels, {_kind(sr)}, in **{seconds:.2f} s**"
    return Magnified(result, before, after, seconds, text)


@dataclass(frozen=True)
class Compared:
    """An original beside what bicubic and a network made of its shrunken version.

    Attributes:
        captions: "bicubic", "FDNN" with their scores, "original".
        images: One file for each caption.
        details: The part of each where bicubic is worst, enlarged.
        scores: ``(PSNR in dB, SSIM)`` of bicubic and of the network.
        text: One line about it.
    """

    captions: tuple[str, ...]
    images: tuple[Path, ...]
    details: tuple[Path, ...]
    scores: tuple[tuple[float, float], ...]
    text: str


def compare(path: Path, net: Network, folder: Path) -> Compared:
    """Shrink an image file as MATLAB does, magnify it again, and score that.

    The scores are those of :mod:`fdnn.evaluation.score`, to the digit. The pictures are made in
    colour from an LR image rounded to 8 bits, as :mod:`fdnn.evaluation.strips` does.

    Args:
        path: The upload, the HR image.
        net: Any network of :mod:`fdnn.models`.
        folder: Where the PNG files go.

    Raises:
        UserError: If the file is not an image, damaged, too large, or too small to be scored;
            the text is for the page.
    """
    scale = net.scale
    limits.check(path)
    hr = for_screen(modcrop(_read(path)[0], scale))
    lr = shrink(hr, scale)
    networks = {"bicubic": Bicubic(scale), net.title: net}
    upload = ImageSet("upload", (path,))
    captions, images, scores = [], [], []
    for name, one in networks.items():
        try:
            scored = score(Engined(one, partial(upscale_luma, one)), upload)
        except UserError as error:
            raise _about(path, error) from None
        captions.append(f"{name} {scored.psnr:.2f} / {scored.ssim:.4f}")
        images.append(upscale_pixels(one, lr))
        scores.append((scored.psnr, scored.ssim))
    captions.append("original")
    images.append(hr)

    window = _worst(images[0], hr)
    files, details = [], []
    for name, image in zip([*networks, "original"], images, strict=True):
        files.append(folder / f"{name}.png")
        write_image(files[-1], image)
        details.append(folder / f"{name}_detail.png")
        write_image(details[-1], image[window].repeat(ENLARGE, 0).repeat(ENLARGE, 1))
    gain = scores[1][0] - scores[0][0]
    text = (
        f"{_size(hr)} → {_size(lr)} → {_size(hr)} pixels. PSNR **{gain:+.2f} dB**, SSIM "
        f"**{scores[1][1] - scores[0][1]:+.4f}** against bicubic."
    )
    return Compared(tuple(captions), tuple(files), tuple(details), tuple(scores), text)


def for_screen(image: Array) -> Array:
    """Reduce an image to what a browser shows alike everywhere: 8 bits, alpha over white."""
    if image.dtype == np.uint8 and image.ndim == 2:
        return image
    if image.dtype == np.uint8 and image.shape[2] == 3:
        return image
    peak = float(np.iinfo(image.dtype).max)
    colour, alpha = split_alpha(image)
    pixels = colour / peak
    if alpha is not None:
        opacity = (alpha / peak).reshape(alpha.shape + (1,) * (pixels.ndim - 2))
        pixels = pixels * opacity + (1 - opacity)
    return np.floor(pixels * 255 + 0.5).astype(np.uint8)


def _read(path: Path) -> tuple[Array, Metadata]:
    try:
        return read_picture(path)
    except UserError as error:
        raise _about(path, error) from None


def _about(path: Path, error: UserError) -> UserError:
    # Where the server keeps uploads is nobody's business.
    return UserError(str(error).replace(str(path), path.name))


def _worst(sr: Array, hr: Array) -> tuple[slice, slice]:
    """Find the window where two images differ most."""
    side = [min(DETAIL, n) for n in hr.shape[:2]]
    error = np.square(luma(sr) - luma(hr))
    means = cv2.boxFilter(error, -1, (side[1], side[0]), anchor=(0, 0), normalize=True)
    means = means[: hr.shape[0] - side[0] + 1, : hr.shape[1] - side[1] + 1]
    top, left = np.unravel_index(int(means.argmax()), means.shape)
    return slice(int(top), int(top) + side[0]), slice(int(left), int(left) + side[1])


def _size(image: Array) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"


def _kind(image: Array) -> str:
    colour, alpha = split_alpha(image)
    name = "gray" if colour.ndim == 2 else "colour"
    return f"{name}{'' if alpha is None else ' with alpha'}, {8 * image.dtype.itemsize} bits"
