"""Image files and the pixel conventions of super-resolution: luma, modcrop, shave.

Inside the project an image is a NumPy array of its own bit depth (uint8 or uint16),
``(h, w)`` for gray and ``(h, w, c)`` otherwise, with c = 2 (gray + alpha), 3 (RGB) or
4 (RGB + alpha).
"""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from fdnn.errors import ImageError, UserError

Array = NDArray[Any]

#: File types that are looked for in folders (any case).
EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
WITHOUT_ALPHA = frozenset({".jpg", ".jpeg"})
WITH_16_BIT = frozenset({".png", ".tif", ".tiff"})

# BT.601 in studio range, for R, G, B in [0, 1]: MATLAB's rgb2ycbcr and its inverse.
_TO_YCBCR = np.array(
    [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]
)
_OFFSET = np.array([16.0, 128.0, 128.0])
_TO_RGB = np.linalg.inv(_TO_YCBCR)


def list_images(folder: Path) -> list[Path]:
    """List the image files directly inside a folder, sorted by name.

    Raises:
        UserError: If the folder does not exist or holds no image.
    """
    if not folder.is_dir():
        raise UserError(f"no such image folder: {folder}")
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in EXTENSIONS and p.is_file())
    if not files:
        raise UserError(f"no image ({' '.join(sorted(EXTENSIONS))}) in folder: {folder}")
    return files


def read_image(path: Path | str) -> Array:
    """Read an image file without losing bits or channels.

    Palette and 1-bit images are expanded, CMYK is converted to RGB, and the EXIF
    orientation is applied. Of a multi-page file the first page is read.

    Args:
        path: A file that Pillow can open.

    Returns:
        ``(h, w)`` or ``(h, w, c)``, uint8 or uint16.

    Raises:
        ImageError: If the file is missing, unreadable, truncated, or of a pixel type that
            has no 8- or 16-bit meaning (32-bit integers, floats).
    """
    try:
        with warnings.catch_warnings():
            # Pillow refuses images above 179 megapixels; below that its warning is noise.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                bits16 = any(";16" in str(tile[3]) for tile in image.tile)
                image.load()
                if bits16 and image.mode in {"RGB", "RGBA", "LA"}:
                    return _read_16_bit_colour(Path(path), image.mode)
                return _to_array(ImageOps.exif_transpose(image), path)
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise ImageError(f"{path}: not an image in a known format, or damaged") from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: {error}") from None
    except (OSError, ValueError, SyntaxError, EOFError, IndexError) as error:
        raise ImageError(f"{path}: cannot be read ({error})") from None


def _to_array(image: Image.Image, path: Path | str) -> Array:
    mode = image.mode
    if mode in {"L", "LA", "RGB", "RGBA"}:
        return np.asarray(image)
    if mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if mode == "1":
        return np.asarray(image.convert("L"))
    if mode in {"P", "PA"}:
        return np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))
    if mode in {"CMYK", "YCbCr", "LAB", "HSV", "RGBX"}:
        return np.asarray(image.convert("RGB"))
    raise ImageError(f"{path}: pixel type {mode!r} is not supported; save it as 8 or 16 bits")


def _read_16_bit_colour(path: Path, mode: str) -> Array:
    # Pillow reduces 16-bit colour to 8 bits; OpenCV keeps it.
    import cv2

    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3:
        raise ImageError(f"{path}: this kind of 16-bit colour file is not supported")
    if mode == "LA":
        return np.ascontiguousarray(pixels[..., [0, 3]])
    order = [2, 1, 0] if pixels.shape[2] == 3 else [2, 1, 0, 3]
    return np.ascontiguousarray(pixels[..., order])


def write_image(path: Path, image: Array) -> None:
    """Write an image in the format that the file's extension names.

    The file appears whole or not at all: it is written beside its place and then renamed.

    Args:
        path: Target; its folder is created. JPEG and WebP are written at quality 95.
        image: As ``read_image`` returns it.

    Raises:
        UserError: If the extension is unknown, or its format cannot hold the alpha channel
            or the 16 bits of the image.
    """
    suffix = path.suffix.lower()
    channels = 1 if image.ndim == 2 else image.shape[2]
    if suffix not in EXTENSIONS:
        raise UserError(f"{path}: unknown image extension; use one of {sorted(EXTENSIONS)}")
    if channels in {2, 4} and suffix in WITHOUT_ALPHA:
        raise UserError(f"{path}: JPEG cannot hold the alpha channel; choose png, tif or webp")
    if image.dtype == np.uint16 and suffix not in WITH_16_BIT:
        raise UserError(f"{path}: {suffix} cannot hold 16 bits a channel; choose png or tif")
    if channels == 2 and suffix in {".bmp", ".webp"}:
        image = image[..., [0, 0, 0, 1]]

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(suffix=suffix, prefix=".fdnn-", dir=path.parent)
    os.close(handle)
    try:
        if image.dtype == np.uint16 and channels > 1:
            _write_16_bit_colour(Path(temporary), image)
        else:
            Image.fromarray(image).save(temporary, quality=95)
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _write_16_bit_colour(path: Path, image: Array) -> None:
    import cv2

    order = {2: [0, 0, 0, 1], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[image.shape[2]]
    ok, data = cv2.imencode(path.suffix, image[..., order])
    if not ok:
        raise UserError(f"{path}: OpenCV could not encode a 16-bit image")
    data.tofile(path)


def split_alpha(image: Array) -> tuple[Array, Array | None]:
    """Split an image into its colour ``(h, w)`` or ``(h, w, 3)`` and its alpha ``(h, w)``."""
    if image.ndim == 2:
        return image, None
    if image.shape[2] == 2:
        return image[..., 0], image[..., 1]
    if image.shape[2] == 4:
        return image[..., :3], image[..., 3]
    return image, None


def rgb_to_ycbcr(rgb: Array) -> NDArray[np.float64]:
    """Convert RGB ``(h, w, 3)`` in [0, 1] to BT.601 YCbCr: Y in [16, 235], Cb, Cr in [16, 240]."""
    return np.asarray(rgb @ _TO_YCBCR.T + _OFFSET)


def ycbcr_to_rgb(ycbcr: Array) -> NDArray[np.float64]:
    """Invert :func:`rgb_to_ycbcr`; the result may leave [0, 1] and is not clipped."""
    return np.asarray((ycbcr - _OFFSET) @ _TO_RGB.T)


def luma(image: Array) -> NDArray[np.float64]:
    """Compute the channel that super-resolution papers measure.

    BT.601 luma in studio range, rounded to the bit depth of the image as MATLAB's
    ``rgb2ycbcr`` does for integer images. A gray image is its own luma. Alpha is ignored.

    Args:
        image: As ``read_image`` returns it.

    Returns:
        ``(h, w)`` float64 in [0, 255]; 16-bit images keep steps of 1/257.
    """
    colour, _ = split_alpha(image)
    peak = float(np.iinfo(image.dtype).max)
    if colour.ndim == 2:
        return colour * (255.0 / peak)
    y = rgb_to_ycbcr(colour / peak)[..., 0] * (peak / 255.0)
    return np.asarray(np.floor(y + 0.5) * (255.0 / peak))


def modcrop(image: Array, scale: int) -> Array:
    """Crop bottom and right so that height and width are multiples of ``scale``.

    Raises:
        ImageError: If nothing would be left.
    """
    height, width = (n - n % scale for n in image.shape[:2])
    if not (height and width):
        raise ImageError(f"an image of {image.shape[0]}x{image.shape[1]} is too small for x{scale}")
    return image[:height, :width]
