"""What an image file says beside its pixels: colour profile, EXIF, resolution.

Kept: the ICC profile where it is one for the pixels that are written, EXIF, and dots per inch.
Not kept: XMP, IPTC, thumbnails and comments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from PIL import ExifTags, Image

from fdnn.images.encoding import Encoding

ORIENTATION = int(ExifTags.Base.Orientation)

#: What fits into a JPEG's one segment of EXIF.
JPEG_EXIF = 65_500

#: Tags of a TIFF's layout, which is not that of the file that is written. Resolution is
#: written on its own. Also, where on Earth its pixels are (GeoTIFF): ours are smaller.
LAYOUT = frozenset(
    {*range(254, 267), 273, *range(277, 285), 296, 297, 301, 317, *range(320, 326), 330, 338, 339}
    | {340, 341, 347, *range(512, 522), *range(529, 533), 700, 33723, 34377, 34675}
    | {33550, 33922, 34264, 34735, 34736, 34737}
)


@dataclass(frozen=True)
class Metadata:
    """Metadata of one image.

    Attributes:
        icc: ICC profile, for the pixels as they are in memory.
        exif: EXIF, with the orientation reset because it is applied when reading.
        dpi: Dots per inch, horizontal and vertical.
        encoding: How the file that was read encodes its pixels.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    encoding: Encoding = field(default_factory=Encoding)

    def options(self, suffix: str, size: tuple[int, int], gray: bool) -> dict[str, Any]:
        """Say it in the words of Pillow's ``save``.

        Args:
            suffix: Extension of the file, such as ``.png``.
            size: Width and height of the image to write, which EXIF repeats.
            gray: Whether the image to write is gray, with or without alpha.

        Returns:
            Arguments, less those that the format cannot hold.
        """
        options = self.encoding.options(suffix)
        if self.icc and fits(self.icc, gray) and suffix not in {".bmp", ".gif"}:
            options["icc_profile"] = self.icc
        if self.exif and suffix not in {".bmp", ".gif"}:
            exif = with_size(self.exif, size)
            if suffix not in {".jpg", ".jpeg"} or len(exif) <= JPEG_EXIF:
                options["exif"] = exif
        if self.dpi and suffix not in {".webp", ".gif"}:
            options["dpi"] = self.dpi
        return options


def of(image: Image.Image) -> Metadata:
    """Collect the metadata of an opened image; damaged entries are left out."""
    return Metadata(image.info.get("icc_profile") or None, _exif(image), _dpi(image))


def orientation(image: Image.Image) -> int:
    """Read how the pixels must be turned: 1 (not at all) to 8, by EXIF."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # EXIF is written by cameras and phones of all ages
        return 1
    return value if value in range(1, 9) else 1


def fits(icc: bytes, gray: bool) -> bool:
    """Tell whether a profile is one for gray, or RGB, pixels: byte 16 to 19 say it."""
    return icc[16:20] == (b"GRAY" if gray else b"RGB ")


def with_size(exif: bytes, size: tuple[int, int]) -> bytes:
    """Replace the image's size in EXIF, where it is given."""
    data = Image.Exif()
    data.load(exif)
    details = data.get_ifd(ExifTags.IFD.Exif)
    for tag, value in zip(
        (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight), size, strict=True
    ):
        if tag in details:
            details[int(tag)] = value
    return data.tobytes()


def _exif(image: Image.Image) -> bytes | None:
    try:
        exif = Image.Exif()  # a copy, because the image keeps its own
        exif.load(image.getexif().tobytes())
        for tag in LAYOUT & exif.keys():
            del exif[tag]
        if ORIENTATION in exif:
            exif[ORIENTATION] = 1
        if not exif:
            return None
        data = exif.tobytes()
        with_size(data, (1, 1))  # whatever will be done to it later works
    except Exception:  # as above
        return None
    return data


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    try:
        x, y = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 0 < x < 1e6 and 0 < y < 1e6 else None
