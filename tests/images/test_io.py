import struct
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from fdnn.files.errors import ImageError, UserError
from fdnn.images.io import check_pixels, list_images, read_image, read_picture, write_image

CHANNELS = {"gray": (), "gray_alpha": (2,), "rgb": (3,), "rgba": (4,)}


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", CHANNELS.values(), ids=CHANNELS)
def test_lossless_formats_come_back(tmp_path, random, suffix, dtype, channels) -> None:
    image = random.integers(0, np.iinfo(dtype).max + 1, (13, 17, *channels), dtype=dtype)
    write_image(tmp_path / f"x{suffix}", image)
    back = read_image(tmp_path / f"x{suffix}")
    if dtype == np.uint16 and channels == (2,):  # becomes RGBA, which OpenCV can write
        back = back[..., [0, 3]]
    assert back.dtype == dtype
    assert np.array_equal(back, image)


@pytest.mark.parametrize("suffix", [".bmp", ".webp", ".jpg"])
def test_8_bit_formats(tmp_path, suffix) -> None:
    image = np.full((16, 16, 3), 120, np.uint8)
    write_image(tmp_path / f"x{suffix}", image)
    assert np.abs(read_image(tmp_path / f"x{suffix}").astype(int) - 120).max() <= 2


def test_16_bit_written_by_opencv(tmp_path, random) -> None:
    bgr = random.integers(0, 65536, (8, 9, 3), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "x.png"), bgr)
    assert np.array_equal(read_image(tmp_path / "x.png"), bgr[..., ::-1])


def test_palette_one_bit_cmyk_and_orientation(tmp_path, random) -> None:
    rgb = Image.fromarray(random.integers(0, 256, (10, 14, 3), dtype=np.uint8))
    palette = rgb.quantize(16)
    palette.save(tmp_path / "p.png")
    assert np.array_equal(read_image(tmp_path / "p.png"), np.asarray(palette.convert("RGB")))
    palette.save(tmp_path / "t.png", transparency=0)
    assert read_image(tmp_path / "t.png").shape == (10, 14, 4)
    rgb.convert("1").save(tmp_path / "1.png")
    assert set(np.unique(read_image(tmp_path / "1.png"))) <= {0, 255}
    rgb.convert("CMYK").save(tmp_path / "c.jpg")
    assert read_image(tmp_path / "c.jpg").shape == (10, 14, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    rgb.save(tmp_path / "o.png", exif=exif)
    assert read_image(tmp_path / "o.png").shape == (14, 10, 3)


@pytest.mark.parametrize("compression", [None, "tiff_adobe_deflate"])
@pytest.mark.parametrize("mode", ["L", "I;16", "RGBA", "CMYK"])
def test_tiffs_that_are_turned(tmp_path, random, mode, compression) -> None:
    shape = (8, 30) if mode in {"L", "I;16"} else (8, 30, 4)
    deep = mode == "I;16"
    values = random.integers(0, 60000 if deep else 256, shape, np.uint16 if deep else np.uint8)
    image = Image.frombytes(mode, (30, 8), values.tobytes())
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    image.save(tmp_path / "x.tif", exif=exif, compression=compression)
    image.save(tmp_path / "y.tif", compression=compression)
    upright = read_image(tmp_path / "y.tif")
    assert np.array_equal(read_image(tmp_path / "x.tif"), np.rot90(upright, -1))


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_16_bit_tiffs_are_what_their_tags_say(tmp_path, random, planes, compression) -> None:
    rgba = random.integers(0, 65536, (8, 9, 4), dtype=np.uint16)
    rgba[0, :, 3] = 0
    alpha = rgba[..., 3:] / 65535

    def stored(pixels: np.ndarray, **options: object) -> np.ndarray:
        laid = np.moveaxis(pixels, -1, 0) if planes == "separate" else pixels
        options = {"photometric": "rgb", "planarconfig": planes} | options
        tifffile.imwrite(tmp_path / "x.tif", laid, compression=compression, **options)
        return read_image(tmp_path / "x.tif")

    assert np.array_equal(stored(rgba[..., :3]), rgba[..., :3])
    assert np.array_equal(stored(rgba, extrasamples=["unassalpha"]), rgba)
    assert np.array_equal(stored(rgba, extrasamples=["unspecified"]), rgba[..., :3])
    weighted = np.concatenate([np.rint(rgba[..., :3] * alpha), rgba[..., 3:]], axis=-1)
    back = stored(weighted.astype(np.uint16), extrasamples=["assocalpha"])
    off = np.abs(back[..., :3] / 65535 - rgba[..., :3] / 65535) * alpha
    assert off.max() < 1 / 65535
    with pytest.raises(ImageError, match="16 bits of SEPARATED"):
        stored(rgba, photometric="separated")


def test_16_bit_gray_whose_white_is_zero(tmp_path, random) -> None:
    gray = random.integers(0, 65536, (8, 9), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "x.tif", gray, photometric="miniswhite")
    assert np.array_equal(read_image(tmp_path / "x.tif"), 65535 - gray)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_pillows_own_limit_is_not_ours(tmp_path, monkeypatch, suffix) -> None:
    write_image(tmp_path / f"x{suffix}", np.zeros((30, 30), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read_image(tmp_path / f"x{suffix}").shape == (30, 30)
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_not_an_image(tmp_path, content) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(ImageError, match=r"x\.png"):
        read_image(tmp_path / "x.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp"])
def test_truncated(tmp_path, random, suffix) -> None:
    file = tmp_path / f"x{suffix}"
    write_image(file, random.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ImageError, match=f"x{suffix}"):
        read_image(file)


def test_missing_and_floating_point(tmp_path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        read_image(tmp_path / "none.png")
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(ImageError, match="pixel type 'F'"):
        read_image(tmp_path / "f.tif")
    tifffile.imwrite(tmp_path / "g.tif", np.zeros((4, 4, 3), np.float32), photometric="rgb")
    with pytest.raises(ImageError, match=r"g\.tif: a TIFF, but not of 8 or 16 bits a channel"):
        read_image(tmp_path / "g.tif")


def test_write_refuses_what_the_format_cannot_hold(tmp_path) -> None:
    for name in ("x.jpg", "x.bmp"):
        with pytest.raises(UserError, match="alpha"):
            write_image(tmp_path / name, np.zeros((4, 4, 4), np.uint8))
    with pytest.raises(UserError, match="16 bits"):
        write_image(tmp_path / "x.bmp", np.zeros((4, 4), np.uint16))
    with pytest.raises(UserError, match="extension"):
        write_image(tmp_path / "x.xyz", np.zeros((4, 4), np.uint8))
    assert not list(tmp_path.iterdir())


def test_webp_of_a_gray_image_has_no_gray_profile(tmp_path, random) -> None:
    gray = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    gray[16:20] = b"GRAY"
    pixels = random.integers(0, 256, (5, 6), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=bytes(gray))
    write_image(tmp_path / "a.webp", *read_picture(tmp_path / "a.png"))
    with Image.open(tmp_path / "a.webp") as image:
        assert "icc_profile" not in image.info


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch) -> None:
    target = tmp_path / "x.png"
    write_image(target, np.zeros((4, 4), np.uint8))
    before = target.read_bytes()

    def full(*_, **__) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space"):
        write_image(target, np.ones((4, 4), np.uint8))
    assert target.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]


def test_list_images(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no image"):
        list_images(tmp_path)
    for name in ("b.PNG", "a.jpeg", "c.txt", "._b.png"):
        (tmp_path / name).touch()
    (tmp_path / "d.png").symlink_to("gone")
    assert [p.name for p in list_images(tmp_path)] == ["a.jpeg", "b.PNG", "d.png"]
    with pytest.raises(UserError, match="no such image folder"):
        list_images(tmp_path / "none")


def test_reading_in_threads_changes_nothing_for_the_process(tmp_path, random) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(40)]
    for path in paths:
        Image.fromarray(random.integers(0, 256, (30, 30), dtype=np.uint8)).save(path)
    before = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(read_image, paths))
    assert (Image.MAX_IMAGE_PIXELS, warnings.filters) == before


def test_oddities_in_metadata_are_not_talked_about(tmp_path) -> None:
    # A TIFF whose directory says that it goes on after the end; found by tests/test_fuzz.py.
    Image.new("L", (4, 4), 7).save(tmp_path / "x.tif")
    data = bytearray((tmp_path / "x.tif").read_bytes())
    at = int.from_bytes(data[4:8], "little")
    data[at : at + 2] = (int.from_bytes(data[at : at + 2], "little") + 9).to_bytes(2, "little")
    (tmp_path / "x.tif").write_bytes(data)
    # In a process of its own: pytest has its own filters of warnings.
    file = str(tmp_path / "x.tif")
    code = f"from fdnn.images.io import read_image; print(read_image({file!r}).shape)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("(4, 4)\n", "")


def tiff_of_12_bits() -> bytes:
    """Two pixels: 0xFFF and 0x800."""
    entries = [
        (256, 4, 2), (257, 4, 1), (258, 3, 12), (259, 3, 1), (262, 3, 1),
        (273, 4, 8), (277, 3, 1), (278, 4, 1), (279, 4, 3),
    ]  # fmt: skip
    directory = struct.pack("<H", len(entries))
    for tag, kind, value in entries:
        directory += struct.pack("<HHII", tag, kind, 1, value)
    return b"II*\0" + struct.pack("<I", 12) + b"\xff\xf8\x00\0" + directory + bytes(4)


def test_12_bit_tiffs_use_the_range(tmp_path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff_of_12_bits())
    assert read_image(tmp_path / "a.tif").tolist() == [[65535, round(2048 * 65535 / 4095)]]


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_signed_tiffs_are_refused(tmp_path, dtype) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.full((4, 5), -1, dtype))
    with pytest.raises(ImageError, match=r"a\.tif: signed numbers"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_truncated_16_bit_colour(tmp_path, random, suffix) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, random.integers(0, 65536, (40, 50, 3), dtype=np.uint16))
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(ImageError, match=r"damaged|cannot be read"):
        read_image(path)


@pytest.mark.parametrize(("size", "advice"), [((20_000, 20_000), True), ((2**31, 2**31), False)])
def test_an_implausible_size_is_not_recommended(size, advice) -> None:
    with pytest.raises(ImageError, match="is more than") as refused:
        check_pixels("a.png", *size, 100)
    assert ("--max_pixels" in str(refused.value)) is advice
