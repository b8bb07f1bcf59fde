"""Image files: found, read without losing bits or channels, written whole or not at all.

Inside the project an image is a NumPy array of its own bit depth (uint8 or uint16),
``(h, w)`` for gray and ``(h, w, c)`` otherwise, with c = 2 (gray + alpha), 3 (RGB) or
4 (RGB + alpha).
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from fdnn.files.atomic import replacing
from fdnn.files.errors import ImageError, UserError, words
from fdnn.images import metadata
from fdnn.images import sixteen_bit as wide
from fdnn.images.encoding import encoding_of
from fdnn.images.metadata import Metadata
from fdnn.images.pillow import BITS_PER_SAMPLE, Array, from_pillow
from fdnn.images.truncated import gif_ends_early

#: File types that are looked for in folders (any case).
EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"})
WITHOUT_ALPHA = frozenset({".jpg", ".jpeg", ".bmp"})
WITH_16_BIT = frozenset({".png", ".tif", ".tiff"})
#: The longest side that a format can hold, where it is a limit.
LONGEST = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383, ".gif": 65_535}

#: Bytes of pixels from which a TIFF is written as BigTIFF: a TIFF ends at 4 GiB.
BIG_TIFF = 2**32 - 2**25

#: Images with more pixels are refused: a small file can claim to be any size.
MAX_PIXELS = 200_000_000
#: No camera or scanner makes more: a header that says so is not believed.
PLAUSIBLE_PIXELS = 10**10


def list_images(folder: Path) -> list[Path]:
    """List the image files directly inside a folder, sorted by name; hidden ones are left out.

    Raises:
        UserError: If the folder does not exist or holds no image.
    """
    if not folder.is_dir():
        raise UserError(f"no such image folder: {folder}")
    files = sorted(p for p in folder.iterdir() if is_image(p))
    if not files:
        raise UserError(
            f"no image ({' '.join(sorted(EXTENSIONS))}) in folder: {folder} (not below it)"
        )
    return files


def is_image(path: Path) -> bool:
    """Tell by the name whether a file holds an image; hidden files, such as macOS's, do not.

    A link that leads nowhere counts: whoever reads it shall hear of it.
    """
    named = path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")
    return named and (path.is_file() or (path.is_symlink() and not path.exists()))


# Pillow warns of oddities in metadata that a user cannot act on.
warnings.filterwarnings("ignore", module=r"PIL\.")


class _AnySize:
    """Lifts Pillow's own limit, which is one for all threads, while any of them reads an image."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.readers = 0
        self.limit: int | None = None

    def __enter__(self) -> None:
        with self.lock:
            if not self.readers:
                self.limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self.readers += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.readers -= 1
            if not self.readers:
                Image.MAX_IMAGE_PIXELS = self.limit


_any_size = _AnySize()


@contextmanager
def open_image(path: Path | str, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """Open an image file with Pillow; what goes wrong in the block becomes a clear message.

    Args:
        path: A file that Pillow can open.
        max_pixels: Refuse images (or frames) with more pixels.

    Yields:
        The image, which is not decoded yet.

    Raises:
        ImageError: If the file is missing, unreadable, truncated or too large.
    """
    try:
        # Of a path, Pillow maps some TIFFs into memory, with width and height swapped if their
        # EXIF says that they are turned.
        with _any_size, Path(path).open("rb") as file, Image.open(file) as image:
            check_pixels(path, *image.size, max_pixels)
            if image.format == "GIF" and gif_ends_early(Path(path).read_bytes()):
                raise ImageError(f"{path}: ends early; copy it again")
            yield image
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ImageError(f"{path}: a folder, not an image") from None
    except UnidentifiedImageError:
        what = "not an image in a known format"
        with Path(path).open("rb") as file:
            if file.read(4) in {b"II*\0", b"MM\0*"}:
                what = "a TIFF, but not of 8 or 16 bits a channel"
        raise ImageError(f"{path}: {what}, or damaged") from None
    except (UserError, MemoryError):
        raise
    except Exception as error:  # decoders meet damage with whatever comes to them
        raise ImageError(f"{path}: cannot be read ({words(error)})") from None


def check_pixels(path: Path | str, width: int, height: int, max_pixels: int) -> None:
    """Refuse what is too large.

    Raises:
        ImageError: If there are more than ``max_pixels`` pixels.
    """
    if width * height > max_pixels:
        text = f"{path}: {width}x{height} is more than {max_pixels:,} pixels; shrink or split it"
        if width * height <= PLAUSIBLE_PIXELS:
            text += f", or raise the limit: --max_pixels {width * height}"
        raise ImageError(text)


def count_pixels(path: Path | str) -> int:
    """Take the size from an image file's header; an unreadable file counts as nothing."""
    try:
        with open_image(path) as image:
            return image.width * image.height
    except ImageError:
        return 0


def read_picture(path: Path | str, max_pixels: int = MAX_PIXELS) -> tuple[Array, Metadata]:
    """Read an image file without losing bits or channels, with what it says of itself.

    The EXIF orientation is applied; palettes, 1 bit and CMYK are converted as
    :func:`fdnn.images.pillow.to_array` says. Of a file with several images the first is read.

    Args:
        path: A file that Pillow can open.
        max_pixels: Refuse images with more pixels.

    Returns:
        Pixels ``(h, w)`` or ``(h, w, c)``, uint8 or uint16, and the metadata.

    Raises:
        ImageError: If the file is missing, unreadable, truncated, too large, or of a pixel
            type that has no 8- or 16-bit meaning (32-bit integers, floats).
    """
    with open_image(path, max_pixels) as image:
        encoding = encoding_of(path, image)
        if has_16_bit_colour(image):
            turn = metadata.orientation(image)
            pixels = wide.read(Path(path), image.format == "TIFF", turn)
            about = metadata.of(image)
        else:
            pixels, about = from_pillow(image, str(path))
        return pixels, replace(about, encoding=encoding)


def read_image(path: Path | str) -> Array:
    """Read the pixels of an image file, see :func:`read_picture`."""
    return read_picture(path)[0]


def has_16_bit_colour(image: Image.Image) -> bool:
    """Tell whether an opened image holds more bits than Pillow would give."""
    if image.mode not in {"RGB", "RGBA", "LA", "CMYK"}:
        return False
    bits = getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, (8,))
    return max(bits) > 8 or any(";16" in str(tile[3]) for tile in getattr(image, "tile", []))


def check_format(path: Path, size: tuple[int, int], channels: int, deep: bool) -> None:
    """Find out whether an image can be written, before it is worked on.

    Args:
        path: Target.
        size: Width and height.
        channels: 1 to 4.
        deep: Whether the image has 16 bits.

    Raises:
        UserError: If the extension is unknown, or its format cannot hold the size, the alpha
            channel or the 16 bits of the image.
    """
    suffix = path.suffix.lower()
    if suffix not in EXTENSIONS:
        kinds = " ".join(sorted(EXTENSIONS))
        raise UserError(f"{path}: unknown image extension; use one of {kinds} (predict: --format)")
    if channels in {2, 4} and suffix in WITHOUT_ALPHA:
        raise UserError(f"{path}: {suffix} cannot hold an alpha channel; choose png, tif or webp")
    if deep and suffix not in WITH_16_BIT:
        raise UserError(f"{path}: {suffix} cannot hold 16 bits a channel; choose png or tif")
    if max(size) > LONGEST.get(suffix, max(size)):
        raise UserError(
            f"{path}: {size[0]}x{size[1]} is too large for {suffix}, which holds "
            f"{LONGEST[suffix]} pixels a side; choose png or tif"
        )


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Lend a temporary file (:func:`fdnn.files.atomic.replacing`), and say what went wrong.

    Raises:
        UserError: If an encoder refuses the image.
        OSError: If the disk is full, or the folder cannot be written to.
    """
    with replacing(path) as temporary:
        try:
            yield temporary
        except (UserError, OSError, MemoryError):
            raise
        except Exception as error:  # encoders say in many ways that they cannot
            raise UserError(f"{path}: cannot be written ({words(error)})") from None


def write_image(path: Path, image: Array, about: Metadata | None = None) -> None:
    """Write an image in the format that the file's extension names.

    The file appears whole or not at all: it is written beside its place and then renamed.

    Args:
        path: Target; its folder is created. JPEG and lossy WebP are written at quality 95; GIF
            gets a palette, and its alpha is on or off.
        image: As ``read_image`` returns it.
        about: Metadata to write with it, as far as the format can hold it.

    Raises:
        UserError: As :func:`check_format` does.
        OSError: If the disk is full, or the folder cannot be written to.
    """
    suffix = path.suffix.lower()
    channels = 1 if image.ndim == 2 else image.shape[2]
    size = (image.shape[1], image.shape[0])
    check_format(path, size, channels, image.dtype == np.uint16)
    if channels == 2 and suffix == ".webp":
        image = image[..., [0, 0, 0, 1]]
    about = about or Metadata()
    with writing(path) as temporary:
        if image.dtype == np.uint16 and channels > 1:
            wide.write(temporary, image, about)
            return
        # WebP knows no gray.
        gray = suffix != ".webp" and (image.ndim == 2 or image.shape[2] == 2)
        options = about.options(suffix, size, gray)
        to_save = Image.fromarray(image)
        if suffix in {".tif", ".tiff"} and image.nbytes > BIG_TIFF:
            options = {k: v for k, v in options.items() if k != "compression"} | {"big_tiff": True}
        if suffix == ".gif" and channels in {2, 4}:
            to_save = on_or_off(to_save)
        if suffix in {".jpg", ".jpeg", ".webp"}:
            options["quality"] = 95
        to_save.save(temporary, **options)


def on_or_off(image: Image.Image) -> Image.Image:
    """Make alpha 0 or 255, which is all that GIF has; returns RGBA."""
    rgba = image.convert("RGBA")
    rgba.putalpha(rgba.getchannel("A").point(lambda alpha: 255 * (alpha >= 128)))
    return rgba
