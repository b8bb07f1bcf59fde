import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from fdnn.files.errors import ImageError, UserError
from fdnn.images.metadata import Metadata
from fdnn.models import Bicubic
from fdnn.predict.frames import Series, inspect, is_series, read_frames, write_frames
from fdnn.predict.magnify import magnify_file

NET = Bicubic(2)


def colours(count: int, mode: str = "RGB", size=(12, 8)) -> list[Image.Image]:
    step = 255 // count
    tone = {"RGB": lambda i: (step * i, 90, 200), "L": lambda i: step * i}[mode]
    return [Image.new(mode, size, tone(i)) for i in range(count)]


@pytest.mark.parametrize("target", [".gif", ".webp", ".png"])
@pytest.mark.parametrize("source", [".gif", ".webp", ".png"])
def test_animations_keep_durations_and_loop(tmp_path, source, target) -> None:
    first, *rest = colours(4)
    durations = [100, 50, 200, 70]
    file = tmp_path / f"a{source}"
    first.save(file, save_all=True, append_images=rest, duration=durations, loop=3)
    assert is_series(file)
    magnify_file(NET, file, tmp_path / f"b{target}")
    found = inspect(tmp_path / f"b{target}")
    assert (found.count, found.loop) == (4, 3)
    assert found.durations == pytest.approx(durations)
    for i, pixels in enumerate(read_frames(tmp_path / f"b{target}")):
        assert pixels.shape[:2] == (16, 24)
        assert np.abs(pixels[8, 12, :3].astype(int) - (63 * i, 90, 200)).max() <= 8


def test_transparent_gif(tmp_path) -> None:
    frames = []
    for i in range(3):
        frame = Image.new("RGBA", (12, 8))
        frame.paste((200, 50, 60, 255), (3 * i, 0, 3 * i + 4, 8))
        frames.append(frame)
    frames[0].save(
        tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=80, disposal=2
    )
    magnify_file(NET, tmp_path / "a.gif", tmp_path / "b.gif")
    for i, pixels in enumerate(read_frames(tmp_path / "b.gif")):
        assert pixels.shape == (16, 24, 4)
        visible = np.flatnonzero(pixels[8, :, 3])
        assert (visible[0], visible[-1]) == (6 * i, 6 * i + 7)
        assert np.abs(pixels[8, visible, :3].astype(int) - (200, 50, 60)).max() <= 8


def test_picture_of_a_png_that_is_not_animated(tmp_path) -> None:
    first, *rest = colours(3)
    first.save(
        tmp_path / "a.png", save_all=True, append_images=rest, default_image=True, duration=[60, 90]
    )
    before = inspect(tmp_path / "a.png")
    magnify_file(NET, tmp_path / "a.png", tmp_path / "b.png")
    after = inspect(tmp_path / "b.png")
    assert before.default_image
    assert (after.default_image, after.count, after.durations) == (
        True, before.count, before.durations,
    )  # fmt: skip
    for suffix in (".gif", ".webp"):  # which have no picture beside the animation
        magnify_file(NET, tmp_path / "a.png", tmp_path / f"b{suffix}")
        after = inspect(tmp_path / f"b{suffix}")
        assert (after.count, after.durations) == (2, (60.0, 90.0))


@pytest.mark.parametrize(("target", "loop"), [(".gif", None), (".webp", 1), (".png", 1)])
def test_shown_once(tmp_path, target, loop) -> None:
    first, *rest = colours(3)
    first.save(tmp_path / "a.gif", save_all=True, append_images=rest, duration=50)
    magnify_file(NET, tmp_path / "a.gif", tmp_path / f"b{target}")
    assert inspect(tmp_path / f"b{target}").loop == loop


def test_pages_of_different_size_and_kind(tmp_path, random) -> None:
    pages = [
        Image.fromarray(random.integers(0, 256, (9, 7, 3), dtype=np.uint8)),
        Image.fromarray(random.integers(0, 256, (4, 6), dtype=np.uint8)),
        Image.fromarray(random.integers(0, 65536, (5, 5), dtype=np.uint16)),
    ]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], dpi=(200, 200))
    magnify_file(NET, tmp_path / "a.tif", tmp_path / "b.tif")
    found = list(read_frames(tmp_path / "b.tif"))
    assert [x.shape for x in found] == [(18, 14, 3), (8, 12), (10, 10)]
    assert found[2].dtype == np.uint16
    assert inspect(tmp_path / "b.tif").about.dpi == (200, 200)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [(".gif", ".jpg", "gif or png or webp"), (".tif", ".png", "tif or tiff")],
)
def test_formats_for_one_image(tmp_path, source, target, message) -> None:
    first, *rest = colours(3)
    first.save(tmp_path / f"a{source}", save_all=True, append_images=rest)
    with pytest.raises(UserError, match=message):
        magnify_file(NET, tmp_path / f"a{source}", tmp_path / f"b{target}")


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif"])
def test_damaged_in_the_middle(tmp_path, random, suffix) -> None:
    frames = [
        Image.fromarray(random.integers(0, 256, (40, 40, 3), dtype=np.uint8)) for _ in range(3)
    ]
    file = tmp_path / f"a{suffix}"
    frames[0].save(file, save_all=True, append_images=frames[1:])
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ImageError, match=f"a{suffix}"):
        magnify_file(NET, file, tmp_path / f"b{suffix}")
    assert [p.name for p in tmp_path.iterdir()] == [file.name]


def test_frames_too_large_and_16_bit_pages(tmp_path) -> None:
    first, *rest = colours(3)
    first.save(tmp_path / "a.gif", save_all=True, append_images=rest)
    with pytest.raises(ImageError, match="--max_pixels 96"):
        magnify_file(NET, tmp_path / "a.gif", tmp_path / "b.gif", max_pixels=95)
    deep = np.zeros((2, 8, 12, 3), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb")
    with pytest.raises(ImageError, match="16-bit colour in a file of several images; split it"):
        magnify_file(NET, tmp_path / "a.tif", tmp_path / "b.tif")


def test_frames_of_different_sizes(tmp_path) -> None:
    frames = iter([np.zeros((4, 4, 3), np.uint8), np.zeros((9, 5, 3), np.uint8)])
    series = Series(2, (10.0, 10.0), 0, False, Metadata())
    with pytest.raises((UserError, OSError), match=r"x\.webp|different"):
        write_frames(tmp_path / "x.webp", frames, series)
    assert not list(tmp_path.iterdir())


def test_still_gif(tmp_path) -> None:
    Image.new("RGBA", (6, 5), (200, 50, 60, 255)).save(tmp_path / "a.gif")
    magnify_file(NET, tmp_path / "a.gif", tmp_path / "b.gif")
    with Image.open(tmp_path / "b.gif") as image:
        assert image.size == (12, 10)
        assert image.convert("RGB").getpixel((5, 5)) == (200, 50, 60)


def test_animation_in_16_bit_gray(tmp_path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + check

    def control(number: int) -> bytes:
        return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, 4, 2, 0, 0, 1, 10, 0, 0))

    pixels = zlib.compress(2 * (b"\0" + 4 * b"\x12\x34"))
    parts = [
        b"\x89PNG\r\n\x1a\n",
        chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 2, 16, 0, 0, 0, 0)),
        chunk(b"acTL", struct.pack(">II", 2, 0)), control(0), chunk(b"IDAT", pixels),
        control(1), chunk(b"fdAT", struct.pack(">I", 2) + pixels), chunk(b"IEND", b""),
    ]  # fmt: skip
    (tmp_path / "a.png").write_bytes(b"".join(parts))
    assert is_series(tmp_path / "a.png")
    with pytest.raises(ImageError, match="16-bit gray in an animation; split it"):
        inspect(tmp_path / "a.png")
