"""How an image file encodes its pixels, so that a result in the same format loses no more."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, JpegImagePlugin, PngImagePlugin

#: PNG chunks that say what colours the numbers mean, beside an ICC profile.
PNG_COLOUR = frozenset({b"cHRM", b"cICP", b"gAMA", b"sRGB"})
#: Longest of them: cHRM has eight numbers of four bytes.
PNG_LONGEST = 32
#: Lossless compressions of TIFF, by Pillow's names.
TIFF_LOSSLESS = frozenset({"tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits"})


@dataclass(frozen=True)
class Encoding:
    """What a result of the same format takes over.

    Attributes:
        png_chunks: Name and content of a PNG's chunks on colour.
        webp_lossless: Whether a WebP is lossless.
        jpeg_sampling: Chroma subsampling of a JPEG: 0 (4:4:4), 1 (4:2:2) or 2 (4:2:0).
        tiff_compression: Lossless compression of a TIFF, by Pillow's name.
    """

    png_chunks: tuple[tuple[bytes, bytes], ...] = ()
    webp_lossless: bool = False
    jpeg_sampling: int | None = None
    tiff_compression: str | None = None

    def options(self, suffix: str) -> dict[str, Any]:
        """Return arguments of Pillow's ``save`` for a file with this extension."""
        options: dict[str, Any] = {}
        if suffix == ".png" and self.png_chunks:
            options["pnginfo"] = PngImagePlugin.PngInfo()
            for name, content in self.png_chunks:
                options["pnginfo"].add(name, content)
        if suffix == ".webp" and self.webp_lossless:
            options |= {"lossless": True, "exact": True}  # exact: colour behind transparency too
        if suffix in {".jpg", ".jpeg"} and self.jpeg_sampling is not None:
            options["subsampling"] = self.jpeg_sampling
        if suffix in {".tif", ".tiff"} and self.tiff_compression:
            options["compression"] = self.tiff_compression
        return options


def encoding_of(path: Path | str, image: Image.Image) -> Encoding:
    """Read how a file is encoded.

    Args:
        path: The file.
        image: The same, opened by Pillow.
    """
    if image.format == "PNG":
        with Path(path).open("rb") as file:
            return Encoding(png_chunks=tuple(_png_colour(file)))
    if image.format == "WEBP":
        with Path(path).open("rb") as file:
            return Encoding(webp_lossless=b"VP8L" in set(_webp_chunks(file)))
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        sampling = JpegImagePlugin.get_sampling(image)
        return Encoding(jpeg_sampling=sampling if sampling >= 0 else None)
    compression = image.info.get("compression")
    if image.format == "TIFF" and compression in TIFF_LOSSLESS:
        return Encoding(tiff_compression=compression)
    return Encoding()


def _png_colour(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks on colour, which stand before the pixels."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name == b"IDAT":
            return
        if name in PNG_COLOUR and length <= PNG_LONGEST:
            yield name, file.read(length)
            file.seek(4, 1)
        else:
            file.seek(length + 4, 1)


def _webp_chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the names of the chunks of a WebP."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", head)
        yield name
        file.seek(length + length % 2, 1)
