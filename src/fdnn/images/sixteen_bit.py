"""Files with 16 bits a channel in colour, which Pillow would reduce to 8."""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from fdnn.files.errors import ImageError
from fdnn.images.metadata import Metadata
from fdnn.images.pillow import Array, upright

#: Length of a PNG's signature and first chunk, after which the others may stand.
PNG_HEAD = 8 + 25
#: Place of the colour type in that chunk, and one of its values.
PNG_COLOUR_TYPE = 25
GRAY_ALPHA = 4


def read(path: Path, tiff: bool, orientation: int) -> Array:
    """Read a 16-bit colour file, upright.

    Args:
        path: A PNG or TIFF.
        tiff: Whether it is a TIFF, whatever its name.
        orientation: How it must be turned, see :func:`fdnn.images.pillow.upright`.

    Returns:
        ``(h, w, c)`` uint16; colour that was stored multiplied by alpha is divided by it.

    Raises:
        ImageError: If it cannot be read, or is of another kind, such as a CMYK TIFF.
    """
    if tiff:
        return _read_tiff(path, orientation)
    pixels = _read_interleaved(path)
    with path.open("rb") as file:
        head = file.read(PNG_HEAD)
    # OpenCV repeats the gray of gray + alpha.
    gray = head.startswith(b"\x89PNG") and head[PNG_COLOUR_TYPE] == GRAY_ALPHA
    return upright(pixels[..., [0, 3]] if gray else pixels, orientation)


def _read_interleaved(path: Path) -> Array:
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it is said below
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3:
        raise ImageError(f"{path}: damaged, or a kind of 16-bit colour file that is not supported")
    order = [2, 1, 0] if pixels.shape[2] == 3 else [2, 1, 0, 3]
    return np.ascontiguousarray(pixels[..., order])


def _read_tiff(path: Path, orientation: int) -> Array:
    from tifffile import EXTRASAMPLE, PHOTOMETRIC, PLANARCONFIG, TiffFile

    with TiffFile(path) as file:
        page = file.pages.first
        if page.photometric != PHOTOMETRIC.RGB:
            kind = PHOTOMETRIC(page.photometric).name
            raise ImageError(f"{path}: 16 bits of {kind} are not supported; save it as RGB")
        if page.planarconfig == PLANARCONFIG.SEPARATE:
            # OpenCV would take planes for pixels.
            pixels = upright(np.moveaxis(page.asarray(), 0, -1), orientation)
        else:
            pixels = _read_interleaved(path)  # OpenCV turns TIFFs by itself
        extra = [*page.extrasamples, EXTRASAMPLE.UNSPECIFIED][0]
    if extra == EXTRASAMPLE.UNSPECIFIED:
        return np.ascontiguousarray(pixels[..., :3])
    pixels = np.ascontiguousarray(pixels[..., :4])
    return _divided(pixels) if extra == EXTRASAMPLE.ASSOCALPHA else pixels


def _divided(pixels: Array) -> Array:
    """Divide colour by alpha, the last channel."""
    alpha = np.maximum(pixels[..., -1:].astype(np.float64), 1)
    colour = np.minimum(np.rint(pixels[..., :-1] * 65535.0 / alpha), 65535)
    return np.concatenate([colour.astype(np.uint16), pixels[..., -1:]], axis=-1)


def write(path: Path, image: Array, about: Metadata) -> None:
    """Write a 16-bit PNG or TIFF in colour.

    Args:
        path: An existing file with the extension of its format, which is overwritten.
        image: ``(h, w, c)`` uint16, c = 2 to 4; gray with alpha becomes RGB with alpha.
        about: Colour profile and DPI are written to both formats, EXIF and chunks on colour to PNG.
            A compressed TIFF becomes one with deflate.

    Raises:
        OSError: If it cannot be written.
    """
    if image.shape[2] == 2:
        image = image[..., [0, 0, 0, 1]]
    suffix = path.suffix.lower()
    options = about.options(suffix, (image.shape[1], image.shape[0]), gray=False)
    if suffix == ".png":
        _write_png(path, image, options)
    else:
        _write_tiff(path, image, options)


def _write_tiff(path: Path, image: Array, options: dict[str, Any]) -> None:
    import tifffile

    tifffile.imwrite(
        path,
        image,
        photometric="rgb",
        extrasamples=["unassalpha"] * (image.shape[2] - 3),
        iccprofile=options.get("icc_profile"),
        resolution=options.get("dpi"),
        resolutionunit="INCH" if "dpi" in options else None,
        # Pillow's other names need a package that we do without; this is as lossless.
        compression="zlib" if "compression" in options else None,
        metadata=None,
    )


def _write_png(path: Path, image: Array, options: dict[str, Any]) -> None:
    import cv2

    order = cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    bare = path.with_name(path.stem + ".bare.png")
    try:
        # OpenCV knows no DPI and no profile: they are put in between.
        if not cv2.imwrite(str(bare), cv2.cvtColor(image, order)):
            raise OSError(None, "a 16-bit PNG could not be written", str(path))
        with bare.open("rb") as source, path.open("wb") as target:
            target.write(source.read(PNG_HEAD))
            target.writelines(_chunks(options))
            shutil.copyfileobj(source, target)
    finally:
        bare.unlink(missing_ok=True)


def _chunks(options: dict[str, Any]) -> list[bytes]:
    colour = options["pnginfo"].chunks if "pnginfo" in options else []
    # A profile and the chunk sRGB exclude each other.
    chunks = [_chunk(*c[:2]) for c in colour if c[0] != b"sRGB" or "icc_profile" not in options]
    icc, exif, dpi = (options.get(key) for key in ("icc_profile", "exif", "dpi"))
    if isinstance(icc, bytes):
        chunks.append(_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc)))
    if isinstance(dpi, tuple):
        per_metre = [round(value / 0.0254) for value in dpi]
        chunks.append(_chunk(b"pHYs", struct.pack(">IIB", *per_metre, 1)))
    if isinstance(exif, bytes):
        chunks.append(_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0")))
    return chunks


def _chunk(name: bytes, data: bytes) -> bytes:
    check = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)
