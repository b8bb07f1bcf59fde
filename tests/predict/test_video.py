import errno
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fdnn.files.errors import ImageError, UserError
from fdnn.models import Bicubic
from fdnn.predict.magnify import magnify_file
from fdnn.predict.video import _magnified, _video_stream

av = pytest.importorskip("av")
NET = Bicubic(2)
RED, BLUE = (200, 60, 40), (30, 80, 190)


def make(path: Path, size=(32, 24), frames=5, sound=True, colorspace=1, **options) -> Path:
    """Left half red, right half blue; frames shown for 1/10 s; a tone."""
    pixels = np.empty((size[1], size[0], 3), np.uint8)
    pixels[:, : size[0] // 2], pixels[:, size[0] // 2 :] = RED, BLUE
    with av.open(str(path), "w", options=options) as out:
        codec = {".webm": "libvpx-vp9"}.get(path.suffix, "libx264")
        video = out.add_stream(codec, rate=10, options={"crf": "4"})
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.codec_context.colorspace = colorspace
        sounds = {".webm": "libopus", ".avi": "pcm_s16le"}
        audio = out.add_stream(sounds.get(path.suffix, "aac"), rate=48000)
        tone = (np.sin(np.arange(24000) / 20) * 9000).astype(np.int16)
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=colorspace)
            frame.pts, frame.time_base = i, Fraction(1, 10)
            out.mux(video.encode(frame))
        if sound:
            samples = av.AudioFrame.from_ndarray(
                np.stack([tone, tone]).T.reshape(1, -1), "s16", "stereo"
            )
            samples.rate, samples.pts = 48000, 0
            resampler = av.AudioResampler(
                audio.format, audio.layout, 48000, audio.frame_size or 960
            )
            for piece in [*resampler.resample(samples), *resampler.resample(None)]:
                out.mux(audio.encode(piece))
        out.mux(video.encode())
        out.mux(audio.encode())
    return path


def read_frames(path: Path) -> list:
    with av.open(str(path)) as opened:
        return list(opened.decode(video=0))


def read(path: Path) -> tuple[list, bytes]:
    with av.open(str(path)) as opened:
        frames = [(f.time, f.to_ndarray(format="rgb24")) for f in opened.decode(video=0)]
    with av.open(str(path)) as opened:
        sound = b"".join(bytes(p) for p in opened.demux(opened.streams.audio) if p.dts is not None)
    return frames, sound


@pytest.mark.parametrize("colorspace", [1, 5])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".webm"])
def test_colour_times_and_sound_are_kept(tmp_path, suffix, colorspace) -> None:
    source = make(tmp_path / f"a{suffix}", colorspace=colorspace)
    seen = []

    def track(items, total, name):
        seen.append(name)
        return items

    magnify_file(NET, source, tmp_path / f"b{suffix}", track=track)
    (before, sound), (after, again) = read(source), read(tmp_path / f"b{suffix}")
    assert [t for t, _ in after] == pytest.approx([t for t, _ in before], abs=2e-3)
    assert len(after) == 5
    for _, pixels in after:
        assert pixels.shape == (48, 64, 3)
        for x, colour in ((12, RED), (52, BLUE)):
            assert np.abs(pixels[24, x].astype(int) - colour).max() <= 9
    assert sound
    assert again == sound
    assert seen == [source.name]


@pytest.mark.parametrize(("source", "target"), [("a.mp4", "b.webm"), ("a.avi", "b.mp4")])
def test_sound_that_the_container_cannot_hold(tmp_path, source, target) -> None:
    make(tmp_path / source)
    with pytest.raises(ImageError, match=rf"{source}: cannot be written as {target[1:]} .*mkv"):
        magnify_file(NET, tmp_path / source, tmp_path / target)
    assert [p.name for p in tmp_path.iterdir()] == [source]


@pytest.mark.parametrize("target", [".avi", ".mkv"])
def test_a_container_without_times(tmp_path, target) -> None:
    make(tmp_path / "a.avi")  # H.264, whose frames are not in the order in which they are shown
    magnify_file(NET, tmp_path / "a.avi", tmp_path / f"b{target}")
    frames, sound = read(tmp_path / f"b{target}")
    assert len(frames) == 5
    assert sound == read(tmp_path / "a.avi")[1]
    if target != ".avi":
        assert [t for t, _ in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=2e-3)


def test_silent_and_odd_size(tmp_path) -> None:
    source = make(tmp_path / "a.mp4", sound=False)
    magnify_file(Bicubic(3), source, tmp_path / "b.mp4")
    assert read(tmp_path / "b.mp4")[0][0][1].shape == (72, 96, 3)


def test_result_that_would_be_odd_loses_a_row(tmp_path) -> None:
    from fdnn.predict.video import magnify_video

    source = make(tmp_path / "a.mp4", sound=False)
    magnify_video(source, tmp_path / "b.mp4", lambda x: x[:-1, :-1])
    assert read(tmp_path / "b.mp4")[0][0][1].shape == (22, 30, 3)


@pytest.mark.parametrize("part", [0.5, 0.8])
@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".mp4", ".webm"])
def test_cut_off(tmp_path, suffix, part) -> None:
    # In MP4 what is needed first may stand first, so that the rest is not missed.
    first = {"movflags": "faststart"} if suffix == ".mp4" else {}
    source = make(tmp_path / f"a{suffix}", frames=20, sound=False, **first)
    magnify_file(NET, source, tmp_path / f"b{suffix}")
    assert len(read_frames(tmp_path / f"b{suffix}")) == 20
    content = source.read_bytes()
    source.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ImageError, match=rf"a\{suffix}: shorter than it says"):
        magnify_file(NET, source, tmp_path / f"c{suffix}")


@pytest.mark.parametrize("content", [b"", b"junk" * 100])
def test_damaged(tmp_path, content) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.mp4: cannot be read"):
        magnify_file(NET, tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_a_codec_that_nobody_knows(tmp_path) -> None:
    source = make(tmp_path / "a.mp4", frames=1, sound=False)
    source.write_bytes(source.read_bytes().replace(b"avc1", b"xxxx"))
    with pytest.raises(ImageError, match=r"a\.mp4: holds a kind of video that cannot be decoded"):
        magnify_file(NET, source, tmp_path / "b.mp4")


@pytest.mark.parametrize(("turned", "shape"), [(False, Fraction(4, 3)), (True, Fraction(3, 4))])
def test_pixels_that_are_no_squares_turn_with_the_picture(tmp_path, turned, shape) -> None:
    """PyAV can read a rotation, but write none: the stream is made by itself."""
    colours = dict.fromkeys(("colorspace", "color_primaries", "color_trc"), 1)
    context = SimpleNamespace(sample_aspect_ratio=Fraction(4, 3), **colours)
    video = SimpleNamespace(average_rate=10, time_base=Fraction(1, 10), codec_context=context)
    with av.open(str(tmp_path / "b.mkv"), "w") as result:
        stream = _video_stream(result, video, av.VideoFrame(32, 24), ".mkv", turned)
        assert stream.codec_context.sample_aspect_ratio == shape


@pytest.mark.parametrize("rotation", [0, 90, -90, 180])
def test_what_a_phone_held_sideways_filmed_stands_upright(rotation, random) -> None:
    """FFmpeg's rotation counts against the clock, as a player turns the picture."""
    pixels = random.integers(0, 256, (16, 24, 3), dtype=np.uint8)
    seen = []
    frame = SimpleNamespace(
        to_ndarray=lambda **_: pixels,
        rotation=rotation, colorspace=1, pts=0, time_base=Fraction(1, 10),
    )  # fmt: skip
    large = _magnified(frame, lambda image: seen.append(image) or image)
    assert np.array_equal(seen[0], np.rot90(pixels, rotation // 90))
    assert (large.height, large.width) == seen[0].shape[:2]


def test_too_large_and_missing(tmp_path) -> None:
    source = make(tmp_path / "a.mp4", frames=1)
    with pytest.raises(ImageError, match="--max_pixels 768"):
        magnify_file(NET, source, tmp_path / "b.mp4", max_pixels=767)
    with pytest.raises(ImageError, match="no such file"):
        magnify_file(NET, tmp_path / "c.mp4", tmp_path / "b.mp4")


def test_a_source_that_may_not_be_read_is_the_one_named(tmp_path, monkeypatch) -> None:
    source = make(tmp_path / "a.mp4", frames=1)

    def refuse(file, *_):
        raise av.error.PermissionError(errno.EACCES, "Permission denied", file)

    monkeypatch.setattr(av, "open", refuse)
    with pytest.raises(ImageError, match=r"a\.mp4: cannot be read \(Permission denied\)"):
        magnify_file(NET, source, tmp_path / "b.mp4")


def test_without_pyav(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"video needs PyAV; pip install -e '\.\[video\]'"):
        magnify_file(NET, tmp_path / "a.mp4", tmp_path / "b.mp4")
