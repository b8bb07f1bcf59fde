"""What the page accepts; looked at before any pixel is decoded."""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from fdnn.files.errors import ImageError

MAX_BYTES = 20 * 2**20
#: Of the larger image: the result when magnifying, the upload when comparing.
MAX_PIXELS = 16_000_000
#: Pillow's names. It opens more than these; some of that through outside programs.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")

TEXT = f"PNG, JPEG, BMP, TIFF or WebP, at most {MAX_BYTES // 2**20} MB"


def check(path: Path, scale: int = 1) -> None:
    """Refuse a file that is no image or too large, judging by its header.

    Args:
        path: An uploaded file.
        scale: The image will be magnified so many times.

    Raises:
        ImageError: With a text for the page.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ImageError(f"{path.name} has {size / 2**20:.1f} MB; at most {MAX_BYTES // 2**20} MB")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
    except Image.DecompressionBombError:
        raise ImageError(
            f"{path.name} has far more than {MAX_PIXELS / 1e6:.0f} megapixels; shrink or crop it"
        ) from None
    except UnidentifiedImageError:
        raise ImageError(f"{path.name} is damaged, or not a PNG, JPEG, BMP, TIFF or WebP") from None
    except (OSError, ValueError, SyntaxError, EOFError, IndexError) as error:
        raise ImageError(f"{path.name} cannot be read ({error})") from None
    pixels = width * height * scale**2
    if pixels > MAX_PIXELS:
        what = f"{path.name} has {width}x{height} pixels"
        if scale > 1:
            what += f", at x{scale} that is {pixels / 1e6:.1f} megapixels"
        raise ImageError(f"{what}; at most {MAX_PIXELS / 1e6:.0f} megapixels, shrink or crop it")
