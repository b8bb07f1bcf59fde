import io

import pytest
from PIL import Image

from fdnn.files.errors import ImageError
from fdnn.images.io import read_image
from fdnn.images.truncated import gif_ends_early, video_ends_early


def test_gifs_cut_anywhere_but_behind_their_end(tmp_path) -> None:
    images = [Image.effect_noise((16, 12), 20 + 9 * i) for i in range(3)]
    buffer = io.BytesIO()
    images[0].save(buffer, "GIF", save_all=True, append_images=images[1:], duration=50)
    content = buffer.getvalue()
    assert not gif_ends_early(content)
    assert not gif_ends_early(content + b"left over")
    assert not gif_ends_early(content[:-1] + b"\0;")
    assert all(gif_ends_early(content[:n]) for n in range(len(content)))
    (tmp_path / "a.gif").write_bytes(content[:-1])  # Pillow shows all three frames
    with pytest.raises(ImageError, match=r"a\.gif: ends early"):
        read_image(tmp_path / "a.gif")


def box(kind: bytes, length: int, content: bytes = b"") -> bytes:
    return length.to_bytes(4, "big") + kind + content


SEGMENT = b"\x1a\x45\xdf\xa3\x82ab\x18\x53\x80\x67"


@pytest.mark.parametrize(
    ("content", "early"),
    [
        (box(b"ftyp", 12, b"isom") + box(b"mdat", 12, b"1234"), False),
        (box(b"ftyp", 12, b"isom") + box(b"mdat", 12, b"123"), True),
        (box(b"ftyp", 12, b"isom") + box(b"mdat", 0, b"to the end"), False),
        (box(b"ftyp", 12, b"isom") + box(b"mdat", 1, (20).to_bytes(8, "big") + b"1234"), False),
        (box(b"ftyp", 12, b"isom") + box(b"mdat", 1, (21).to_bytes(8, "big") + b"1234"), True),
        (box(b"wide", 8) + box(b"mdat", 8) + b"junk of some program", False),
        (b"RIFF" + (8).to_bytes(4, "little") + b"AVI LIST", False),
        (b"RIFF" + (9).to_bytes(4, "little") + b"AVI LIST", True),
        (SEGMENT + b"\x84four", False),
        (SEGMENT + b"\x85four", True),
        (SEGMENT + b"\x40\x04four", False),
        (SEGMENT + b"\x01\xff\xff\xff\xff\xff\xff\xffa stream", False),
        (SEGMENT[:4], False),
        (b"", False),
        (b"junk" * 9, False),
    ],
)
def test_videos(tmp_path, content, early) -> None:
    (tmp_path / "a").write_bytes(content)
    assert video_ends_early(tmp_path / "a") == early
