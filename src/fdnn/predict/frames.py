"""Files of several images: animated GIF, WebP and PNG, and TIFF with pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fdnn.files.errors import ImageError, UserError
from fdnn.images import metadata
from fdnn.images.io import (
    MAX_PIXELS,
    check_format,
    check_pixels,
    has_16_bit_colour,
    on_or_off,
    open_image,
    writing,
)
from fdnn.images.metadata import Metadata
from fdnn.images.pillow import Array, from_pillow

ANIMATIONS = frozenset({".gif", ".webp", ".png"})
PAGES = frozenset({".tif", ".tiff"})


@dataclass(frozen=True)
class Series:
    """What a file of several images says of them.

    Attributes:
        count: Number of images.
        durations: Milliseconds that each is shown; ``None`` for pages.
        loop: How often an animation is shown, 0 for ever; ``None``: not said.
        default_image: Whether the first image of a PNG is not part of the animation.
        about: Metadata of the first image.
    """

    count: int
    durations: tuple[float, ...] | None
    loop: int | None
    default_image: bool
    about: Metadata


def is_series(path: Path, max_pixels: int = MAX_PIXELS) -> bool:
    """Tell whether a file holds several images; ``False`` too if it cannot be read."""
    try:
        with open_image(path, max_pixels) as image:
            several = image.format in {"GIF", "WEBP", "PNG", "TIFF"}
            return several and getattr(image, "is_animated", False)
    except ImageError:
        return False


def inspect(path: Path, max_pixels: int = MAX_PIXELS) -> Series:
    """Look at all images of a file once.

    Args:
        path: An animation or a TIFF.
        max_pixels: Refuse images with more pixels.

    Raises:
        ImageError: If one of them is damaged, too large, or 16-bit colour, or the file is an
            animation in 16-bit gray, of which Pillow writes the first image alone.
    """
    with open_image(path, max_pixels) as image:
        count: int = image.n_frames  # type: ignore[attr-defined]
        default_image = bool(image.info.get("default_image", False))
        about, loop = metadata.of(image), image.info.get("loop")
        durations = []
        for index in range(count):
            image.seek(index)
            check_pixels(path, *image.size, max_pixels)
            deep = image.format == "PNG" and image.mode.startswith("I;16")
            if deep or has_16_bit_colour(image):
                kind = "gray in an animation" if deep else "colour in a file of several images"
                raise ImageError(f"{path}: 16-bit {kind}; split it")
            image.load()
            loop = image.info.get("loop", loop)
            durations.append(float(image.info.get("duration") or 0))
        pages = image.format == "TIFF"
    return Series(count, None if pages else tuple(durations), loop, default_image, about)


def read_frames(path: Path, max_pixels: int = MAX_PIXELS) -> Iterator[Array]:
    """Read the images of a file one after the other, each whole, as they are shown.

    Args:
        path: An animation or a TIFF.
        max_pixels: Refuse images with more pixels.

    Yields:
        Pixels as :func:`fdnn.images.io.read_image` returns them.

    Raises:
        ImageError: If one of them is damaged or too large.
    """
    with open_image(path, max_pixels) as image:
        for index in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(index)
            check_pixels(path, *image.size, max_pixels)
            image.load()
            yield from_pillow(image, str(path))[0]


def check_series(path: Path, series: Series) -> None:
    """Find out whether a format can hold several images, before they are worked on.

    Raises:
        UserError: If it cannot.
    """
    fitting = PAGES if series.durations is None else ANIMATIONS
    if path.suffix.lower() not in fitting:
        raise UserError(
            f"{path}: cannot hold the {series.count} images of its source; "
            f"choose --format {' or '.join(sorted(s[1:] for s in fitting))}"
        )


def write_frames(path: Path, frames: Iterator[Array], series: Series) -> None:
    """Write an animation, or a TIFF with pages; the file appears whole or not at all.

    Pillow holds all frames of a GIF or PNG in memory, those of a WebP or TIFF one by one.

    Args:
        path: Target; its folder is created.
        frames: Images as :func:`read_frames` yields them; taken one by one.
        series: Durations, loop and metadata to write.

    Raises:
        UserError: If the format cannot hold them.
        OSError: If the disk is full, or the folder cannot be written to.
    """
    check_series(path, series)
    suffix = path.suffix.lower()

    def images() -> Iterator[Image.Image]:
        for pixels in frames:
            size, channels = (pixels.shape[1], pixels.shape[0]), np.atleast_3d(pixels).shape[2]
            check_format(path, size, channels, pixels.dtype == np.uint16)
            yield _for_format(Image.fromarray(pixels), suffix)

    if series.default_image and suffix != ".png":
        next(frames)  # which an animation never shows
    rest = images()
    first = next(rest)
    gray = first.mode in {"L", "LA", "I;16"}
    options: dict[str, Any] = series.about.options(suffix, first.size, gray)
    if series.durations is not None:
        shown = series.durations[1:] if series.default_image else series.durations
        options["duration"] = [round(milliseconds) for milliseconds in shown]
        if series.loop is not None:
            options["loop"] = series.loop
        elif suffix != ".gif":
            options["loop"] = 1  # as a GIF that says nothing is shown
    if suffix == ".gif":
        # Each frame is whole: where it is transparent, the one before must go.
        options |= {"disposal": 2 if first.mode == "RGBA" else 0, "optimize": False}
    others: Iterable[Image.Image] = rest
    if suffix == ".png":
        options["default_image"] = series.default_image
        others = list(rest)  # Pillow goes through them twice
    if suffix == ".webp":
        options["quality"] = 95
    with writing(path) as temporary:
        first.save(temporary, save_all=True, append_images=others, **options)


def _for_format(image: Image.Image, suffix: str) -> Image.Image:
    if suffix == ".gif" and image.mode in {"LA", "RGBA"}:
        return on_or_off(image)
    if suffix == ".webp":
        return image.convert("RGBA" if image.mode in {"LA", "RGBA"} else "RGB")
    return image
