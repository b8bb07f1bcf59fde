import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms, ImageOps

from fdnn.images import metadata
from fdnn.images.io import read_image, read_picture, write_image
from fdnn.images.pillow import from_pillow, upright

MAKE = ExifTags.Base.Make
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
CMYK = SRGB[:16] + b"CMYK" + SRGB[20:]
GRAY = SRGB[:16] + b"GRAY" + SRGB[20:]


def png(path: Path, width: int, bits: int, kind: int, row: bytes, more: dict) -> Path:
    """Write a PNG of one row, of any bit depth and colour type, by its specification."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    header = struct.pack(">IIBBBBB", width, 1, bits, kind, 0, 0, 0)
    chunks = {b"IHDR": header, **more, b"IDAT": zlib.compress(b"\0" + row), b"IEND": b""}
    body = b"".join(chunk(name, data) for name, data in chunks.items())
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def exif(turn: int = 6) -> Image.Exif:
    data = Image.Exif()
    data[metadata.ORIENTATION] = turn
    data[MAKE] = "Maker"
    details = data.get_ifd(ExifTags.IFD.Exif)
    details[int(ExifTags.Base.ExifImageWidth)] = 20
    details[int(ExifTags.Base.ExifImageHeight)] = 10
    details[int(ExifTags.Base.LensModel)] = "Lens"
    return data


def rgb(random) -> Image.Image:
    return Image.fromarray(random.integers(0, 256, (10, 20, 3), dtype=np.uint8))


@pytest.mark.parametrize("source", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("target", [".jpg", ".png", ".webp", ".tif", ".bmp"])
def test_profile_exif_and_resolution_are_kept(tmp_path, random, source, target) -> None:
    first, second = tmp_path / f"a{source}", tmp_path / f"b{target}"
    rgb(random).save(first, icc_profile=SRGB, exif=exif().tobytes(), dpi=(300, 300))
    pixels, about = read_picture(first)
    assert pixels.shape == (20, 10, 3)
    write_image(second, np.repeat(np.repeat(pixels, 3, 0), 3, 1), about)
    with Image.open(second) as image:
        assert image.size == (30, 60)
        if target != ".bmp":
            assert image.info["icc_profile"] == SRGB
            found = image.getexif()
            assert found.get(metadata.ORIENTATION, 1) == 1
            assert found[MAKE] == "Maker"
            details = found.get_ifd(ExifTags.IFD.Exif)
            assert details[ExifTags.Base.LensModel] == "Lens"
            size = [details[t] for t in (ExifTags.Base.ExifImageWidth, 0xA003)]
            assert size == [30, 60]
        if source != ".webp" and target != ".webp":
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert read_image(second).shape == (60, 30, 3)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colour_keeps_profile_and_resolution(tmp_path, random, suffix, channels) -> None:
    pixels = random.integers(0, 65536, (9, 7, channels), dtype=np.uint16)
    about = metadata.Metadata(SRGB, exif(1).tobytes(), (300.0, 200.0))
    write_image(tmp_path / f"x{suffix}", pixels, about)
    back, found = read_picture(tmp_path / f"x{suffix}")
    assert np.array_equal(back, pixels)
    assert found.icc == SRGB
    assert found.dpi == pytest.approx((300, 200), abs=0.1)
    with Image.open(tmp_path / f"x{suffix}") as image:
        image.load()
        if suffix == ".png":
            assert image.getexif()[MAKE] == "Maker"
    assert [p.name for p in tmp_path.iterdir()] == [f"x{suffix}"]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_16_bit_colour_is_turned(tmp_path, random, planes, orientation) -> None:
    pixels = random.integers(0, 65536, (9, 7, 3), dtype=np.uint16)
    laid = np.moveaxis(pixels, -1, 0) if planes == "separate" else pixels
    tifffile.imwrite(
        tmp_path / "x.tif", laid, photometric="rgb", planarconfig=planes, metadata=None,
        extratags=[(274, "H", 1, orientation, False)],
    )  # fmt: skip
    # As Pillow turns what it can read.
    low = Image.fromarray((pixels >> 8).astype(np.uint8))
    low.save(tmp_path / "y.png", exif=exif(orientation))
    assert np.array_equal(
        read_image(tmp_path / "x.tif") >> 8,
        np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "y.png"))),
    )


def test_a_profile_is_attached_to_its_own_kind_of_pixels(tmp_path, random) -> None:
    pixels = np.asarray(rgb(random))
    for icc, kept in ((SRGB, (True, False)), (GRAY, (False, True)), (CMYK, (False, False))):
        about = metadata.Metadata(icc)
        for image, expected in zip((pixels, pixels[..., 0]), kept, strict=True):
            write_image(tmp_path / "x.png", image, about)
            assert (read_picture(tmp_path / "x.png")[1].icc == icc) is expected


def test_cmyk(tmp_path, random) -> None:
    cmyk = rgb(random).convert("CMYK")
    cmyk.save(tmp_path / "plain.jpg", quality=100, subsampling=0)
    cmyk.save(tmp_path / "damaged.tif", icc_profile=CMYK)
    for name in ("plain.jpg", "damaged.tif"):
        pixels, about = read_picture(tmp_path / name)
        assert np.abs(pixels.astype(int) - np.asarray(cmyk.convert("RGB"))).mean() < 3
        assert about.icc is None


def test_cmyk_goes_through_its_profile(random, monkeypatch) -> None:
    cmyk = rgb(random).convert("CMYK")
    cmyk.info["icc_profile"] = CMYK
    asked = []

    def convert(image, source, target, outputMode):  # noqa: N803
        asked.append((image.mode, outputMode))
        return Image.new(outputMode, image.size, (1, 2, 3))

    monkeypatch.setattr(ImageCms, "profileToProfile", convert)
    pixels, about = from_pillow(cmyk)
    assert asked == [("CMYK", "RGB")]
    assert (pixels == (1, 2, 3)).all()
    assert about.icc is None


def test_transparent_colour_becomes_alpha(tmp_path) -> None:
    Image.new("RGB", (3, 2), (9, 8, 7)).save(tmp_path / "rgb.png", transparency=(9, 8, 7))
    Image.new("L", (3, 2), 9).save(tmp_path / "gray.png", transparency=8)
    assert (read_image(tmp_path / "rgb.png") == (9, 8, 7, 0)).all()
    assert (read_image(tmp_path / "gray.png") == (9, 255)).all()


@pytest.mark.parametrize(
    ("bits", "row", "key", "expected"),
    [
        (2, b"\x1b", 2, [[0, 255], [85, 255], [170, 0], [255, 255]]),
        (4, b"\x5a", 10, [[85, 255], [170, 0]]),
        (16, b"\x00\x64\x13\x88\xff\xff", 5000, [[100, 65535], [5000, 0], [65535, 65535]]),
    ],
)
def test_transparent_gray_of_any_bit_depth(tmp_path, bits, row, key, expected) -> None:
    transparent = {b"tRNS": struct.pack(">H", key)}
    file = png(tmp_path / "a.png", 8 * len(row) // bits, bits, 0, row, transparent)
    assert read_image(file).tolist() == [expected]
    with Image.open(file) as image:
        assert from_pillow(image)[0].tolist() == [expected]


def test_16_bit_gray_with_alpha_stays_gray(tmp_path, random) -> None:
    pixels = random.integers(0, 65536, (1, 7, 2), dtype=np.uint16)
    row = pixels.astype(">u2").tobytes()
    file = png(tmp_path / "a.png", 7, 16, 4, row, {})
    assert np.array_equal(read_image(file), pixels)


def test_upright_and_the_image_itself_stays(random) -> None:
    pixels = random.integers(0, 256, (3, 5, 3), dtype=np.uint8)
    from PIL import ImageOps

    for turn in range(1, 9):
        image = Image.fromarray(pixels)
        image.getexif()[metadata.ORIENTATION] = turn
        expected = np.asarray(ImageOps.exif_transpose(image))
        assert np.array_equal(upright(pixels, turn), expected)
        assert np.array_equal(from_pillow(image)[0], expected)
        assert image.getexif()[metadata.ORIENTATION] == turn


def test_exif_too_long_for_jpeg_is_left_out(tmp_path, random) -> None:
    data = exif(1)
    data[ExifTags.Base.ImageDescription] = "x" * 70_000
    pixels = np.asarray(rgb(random))
    for suffix, kept in ((".jpg", False), (".png", True)):
        write_image(tmp_path / f"x{suffix}", pixels, metadata.Metadata(exif=data.tobytes()))
        assert (read_picture(tmp_path / f"x{suffix}")[1].exif is not None) is kept


@pytest.mark.parametrize("dpi", [(0, 0), ("x", 1), (float("nan"), 1), None, (1e9, 1)])
def test_nonsense_is_left_out(dpi) -> None:
    image = Image.new("L", (2, 2))
    image.info |= {"dpi": dpi, "exif": b"Exif\0\0junk"}
    assert metadata.of(image) == metadata.Metadata()
    assert metadata.orientation(image) == 1
