"""One file in, one magnified file out, whatever it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fdnn.images.io import MAX_PIXELS, check_format, read_picture, write_image
from fdnn.images.pillow import Array
from fdnn.inference.tiles import upscale_pixels
from fdnn.models import Network
from fdnn.predict import frames
from fdnn.predict.video import VIDEOS, magnify_video

#: Wraps an iterator over the frames of a file, given their number (0: unknown) and its name.
Track = Callable[[Iterable[Any], int, str], Iterable[Any]]


def untracked(items: Iterable[Any], total: int, name: str) -> Iterable[Any]:  # noqa: ARG001
    """Show no progress."""
    return items


def magnify_file(
    net: Network,
    source: Path,
    target: Path,
    *,
    max_pixels: int = MAX_PIXELS,
    track: Track = untracked,
) -> None:
    """Magnify an image, an animation or a video; metadata are kept, see the modules for each.

    Args:
        net: Any network of :mod:`fdnn.models`.
        source: The file; its extension tells videos from the others.
        target: The result, which appears whole or not at all.
        max_pixels: Refuse images, or frames, with more pixels.
        track: Shows progress inside animations and videos.

    Raises:
        UserError: If the source cannot be read, or the target's format cannot hold it.
        OSError: If the disk is full, or the folder cannot be written to.
    """

    def magnify(pixels: Array) -> Array:
        return upscale_pixels(net, pixels)

    if source.suffix.lower() in VIDEOS:
        magnify_video(
            source, target, magnify, max_pixels, lambda items, n: track(items, n, source.name)
        )
    elif frames.is_series(source, max_pixels):
        series = frames.inspect(source, max_pixels)
        frames.check_series(target, series)
        images = frames.read_frames(source, max_pixels)
        large = (magnify(image) for image in track(images, series.count, source.name))
        frames.write_frames(target, large, series)
    else:
        pixels, about = read_picture(source, max_pixels)
        channels = 1 if pixels.ndim == 2 else pixels.shape[2]
        size = (net.scale * pixels.shape[1], net.scale * pixels.shape[0])
        check_format(target, size, channels, pixels.dtype == np.uint16)
        write_image(target, magnify(pixels), about)
