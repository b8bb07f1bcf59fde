"""Pillow's images as arrays of pixels and back: every mode, upright, with its metadata."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from fdnn.files.errors import ImageError, UserError
from fdnn.images import metadata
from fdnn.images.metadata import Metadata

Array = NDArray[Any]

#: Tags of a TIFF: bits of a number, what it means, and whether it has a sign.
BITS_PER_SAMPLE = 258
PHOTOMETRIC = 262
SAMPLE_FORMAT = 339
SIGNED = 2


def from_pillow(image: Image.Image, name: str = "image") -> tuple[Array, Metadata]:
    """Take pixels and metadata out of an image, turned as its EXIF says.

    Args:
        image: Any image of Pillow's; it stays as it is.
        name: What to call it in messages.

    Returns:
        Pixels as :func:`to_array` makes them, and the metadata that belongs to them.

    Raises:
        ImageError: As :func:`to_array` does.
    """
    _scale_transparency(image)
    image.load()  # some metadata stand behind the pixels
    about = metadata.of(image)
    pixels = upright(to_array(image, name), metadata.orientation(image))
    if image.mode == "CMYK":  # its profile is used up
        about = Metadata(None, about.exif, about.dpi)
    return pixels, about


def to_array(image: Image.Image, name: str = "image") -> Array:
    """Take the pixels out of an image without losing bits or channels.

    * 1 bit becomes 8 bits, palettes become RGB, and a transparent colour becomes alpha.
    * CMYK with an embedded profile becomes sRGB through it (LittleCMS, perceptual intent).
      Without one, nobody knows the inks: Pillow's plain conversion, R = (1 - C)(1 - K).
    * The other colour spaces of files (YCbCr, HSV) become RGB.

    Args:
        image: Any image of Pillow's.
        name: What to call it in messages.

    Returns:
        ``(h, w)`` or ``(h, w, c)``, uint8 or uint16, c = 2, 3 or 4.

    Raises:
        ImageError: If the pixels have no 8- or 16-bit meaning (32-bit or signed integers, floats).
    """
    mode = image.mode
    tags = getattr(image, "tag_v2", {})
    if SIGNED in tags.get(SAMPLE_FORMAT, ()):
        raise ImageError(f"{name}: signed numbers are not supported; save it as 8 or 16 bits")
    if mode in {"RGBa", "La"}:
        image = image.convert({"RGBa": "RGBA", "La": "LA"}[mode])
    elif mode in {"1", "L", "RGB"}:
        gray = mode != "RGB"
        if image.has_transparency_data:
            image = image.convert("LA" if gray else "RGBA")
        elif mode == "1":
            image = image.convert("L")
    elif mode in {"P", "PA"}:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif mode == "CMYK":
        image = _cmyk_to_rgb(image)
    elif mode in {"YCbCr", "LAB", "HSV", "RGBX"}:
        image = image.convert("RGB")
    if image.mode in {"L", "LA", "RGB", "RGBA"}:
        return np.asarray(image)
    if mode.startswith("I;16"):
        pixels = np.asarray(image).astype(np.uint16)
        if tags.get(BITS_PER_SAMPLE) == (12,):  # Pillow leaves them as they are
            pixels = np.rint(pixels * (65535 / 4095)).astype(np.uint16)
        # In 8 bits Pillow sees to it.
        if tags.get(PHOTOMETRIC) == 0:  # white is zero
            return 65535 - pixels
        if "transparency" in image.info:
            alpha = np.where(pixels == image.info["transparency"], 0, 65535).astype(np.uint16)
            return np.stack([pixels, alpha], axis=-1)
        return pixels
    raise ImageError(f"{name}: pixel type {mode!r} is not supported; save it as 8 or 16 bits")


def _scale_transparency(image: Image.Image) -> None:
    """Bring the transparent gray of a PNG with 2 or 4 bits to the 8 that its pixels will have.

    Pillow scales the pixels alone, and says how many bits there were until it does.
    """
    for tile in getattr(image, "tile", []) if "transparency" in image.info else []:
        image.info["transparency"] *= {"L;2": 85, "L;4": 17}.get(str(tile[3]), 1)


def to_pillow(pixels: Array, about: Metadata | None = None) -> Image.Image:
    """Make an image of pixels.

    Args:
        pixels: As :func:`to_array` returns them.
        about: Metadata to keep in ``info``, where Pillow's ``save`` looks for some of it.

    Raises:
        UserError: If the pixels have 16 bits and more than one channel, which Pillow has not.
    """
    if pixels.dtype == np.uint16 and pixels.ndim == 3:
        raise UserError(
            "Pillow has no images of 16 bits but gray ones; use 'predict', or an array, such as "
            "fdnn.images.io.read_image makes"
        )
    image = Image.fromarray(pixels)
    if about is not None:
        gray = pixels.ndim == 2 or pixels.shape[2] == 2
        image.info.update(about.options(".png", image.size, gray))
    return image


def upright(pixels: Array, orientation: int) -> Array:
    """Turn pixels ``(h, w[, c])`` as EXIF's orientation (1 to 8) says."""
    if orientation >= 5:  # mirrored along the main diagonal
        pixels = pixels.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _cmyk_to_rgb(image: Image.Image) -> Image.Image:
    icc = image.info.get("icc_profile")
    if icc and icc[16:20] == b"CMYK":
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            pass  # a damaged profile is as good as none
        else:
            assert converted is not None
            return converted
    return image.convert("RGB")
