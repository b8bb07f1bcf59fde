"""Video in and out through PyAV (FFmpeg); the extra ``fdnn[video]``.

The first video stream is magnified frame by frame, in 8 bits; the first audio stream is copied
as it is. Other streams, such as subtitles, transparency, and what the container says of itself
(title, date, place) are not kept. H.264 (and VP9 in WebM) stores
colour at half the size, so that an odd height or width loses its last row or column.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fdnn.files.atomic import replacing
from fdnn.files.errors import ImageError, UserError
from fdnn.images.io import MAX_PIXELS, check_pixels
from fdnn.images.pillow import Array
from fdnn.images.truncated import video_ends_early

if TYPE_CHECKING:
    import av

#: File types, any case.
VIDEOS = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"})

#: Settings for good quality, by encoder.
ENCODERS = {
    ".webm": ("libvpx-vp9", {"crf": "24", "b": "0", "row-mt": "1"}),
    "": ("libx264", {"crf": "16", "preset": "medium"}),
}

#: Errors that are of the place where the result shall be.
NO_ROOM = {errno.EACCES, errno.ENOSPC, errno.EROFS, errno.EDQUOT}

Magnify = Callable[[Array], Array]
Track = Callable[[Iterable[Any], int], Iterable[Any]]


def magnify_video(
    source: Path,
    target: Path,
    magnify: Magnify,
    max_pixels: int = MAX_PIXELS,
    track: Track = lambda frames, total: frames,  # noqa: ARG005
) -> None:
    """Magnify a video; the file appears whole or not at all.

    Args:
        source: A file that FFmpeg can read.
        target: Its extension says the container.
        magnify: Maps ``(h, w, 3)`` uint8 to the same, larger.
        max_pixels: Refuse videos whose frames have more pixels.
        track: Wraps the iterator over frames, to show progress; gets their number as the
            file states it, or 0.

    Raises:
        UserError: If PyAV is not installed.
        ImageError: If the source is missing, cut off, damaged, too large or without frames, or its
            container is not one that the result can be written to.
        OSError: If the disk is full, or the folder cannot be written to.
    """
    try:
        import av
    except ImportError:
        raise UserError(f"{source}: video needs PyAV; pip install -e '.[video]'") from None
    if target.suffix.lower() not in VIDEOS:
        raise UserError(f"{target}: unknown video extension; use one of {sorted(VIDEOS)}")
    if not source.is_file():
        raise ImageError(f"{source}: no such file")
    if video_ends_early(source):  # FFmpeg would show what is there
        raise ImageError(f"{source}: shorter than it says; copy it again")
    try:
        with replacing(target) as temporary, av.open(str(source)) as opened:
            if not opened.streams.video:
                raise ImageError(f"{source}: holds no video")
            stream = opened.streams.video[0]
            if stream.codec_context is None:
                raise ImageError(f"{source}: holds a kind of video that cannot be decoded here")
            check_pixels(source, stream.width, stream.height, max_pixels)
            with av.open(str(temporary), "w") as result:
                _transcode(opened, result, target.suffix.lower(), magnify, track)
    except av.FFmpegError as error:
        file = str(getattr(error, "filename", None) or "")
        if isinstance(error, OSError) and error.errno in NO_ROOM and file != str(source):
            raise OSError(error.errno, error.strerror, str(target)) from None
        if file not in {"", str(source)}:
            raise ImageError(
                f"{source}: cannot be written as {target.suffix} ({error.strerror}); "
                "choose --format mkv"
            ) from None
        raise ImageError(f"{source}: cannot be read ({error.strerror})") from None


def _transcode(
    opened: av.container.InputContainer,
    result: av.container.OutputContainer,
    suffix: str,
    magnify: Magnify,
    track: Track,
) -> None:
    """Fill the result, frames and audio in the order in which they come."""
    video = opened.streams.video[0]
    video.thread_type = "AUTO"
    audio = opened.streams.audio[0] if opened.streams.audio else None
    # The result's streams must be complete before the first packet is written: the frame's
    # size is known once one is magnified, because of rotation.
    decoded = _packets_and_frames(opened, video, audio)
    waiting: list[Any] = []
    out_video: Any = None
    out_audio: Any = None
    for item in track(decoded, video.frames):
        if not hasattr(item, "to_ndarray"):
            waiting.append(item)
        else:
            frame = _magnified(item, magnify)
            if out_video is None:
                turned = bool(item.rotation % 180)
                out_video = _video_stream(result, video, frame, suffix, turned)
                out_audio = _audio_stream(result, audio, opened.name, suffix)
            result.mux(out_video.encode(frame))
        if out_video is not None:
            for packet in waiting:
                packet.stream = out_audio
                result.mux(packet)
            waiting.clear()
    if out_video is None:
        raise ImageError(f"{opened.name}: holds no frame that can be read")
    result.mux(out_video.encode())


def _packets_and_frames(opened: Any, video: Any, audio: Any) -> Iterator[Any]:
    # AVI holds no times; what the decoder makes of that is wrong where frames were reordered.
    timed = opened.format.name != "avi"
    number = 0
    for packet in opened.demux([stream for stream in (video, audio) if stream]):
        if packet.stream is video:
            for frame in packet.decode():
                if not timed:
                    frame.pts = round(number / (video.average_rate * video.time_base))
                number += 1
                yield frame
        elif packet.dts is not None:
            yield packet


def _magnified(frame: Any, magnify: Magnify) -> Any:
    """Magnify a frame, upright, and give it the colour space and time of the old one."""
    import av

    pixels = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
    sr = magnify(np.ascontiguousarray(pixels))
    height, width = (n - n % 2 for n in sr.shape[:2])
    large = av.VideoFrame.from_ndarray(np.ascontiguousarray(sr[:height, :width]), format="rgb24")
    large = large.reformat(format="yuv420p", dst_colorspace=frame.colorspace)
    large.pts, large.time_base = frame.pts, frame.time_base
    return large


def _video_stream(result: Any, video: Any, frame: Any, suffix: str, turned: bool) -> Any:
    encoder, options = ENCODERS.get(suffix, ENCODERS[""])
    stream = result.add_stream(encoder, rate=video.average_rate or 25, options=options)
    stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
    context = stream.codec_context
    context.time_base = stream.time_base = video.time_base
    for name in ("colorspace", "color_primaries", "color_trc"):
        setattr(context, name, getattr(video.codec_context, name))
    context.color_range = 1  # studio range, which from_ndarray and reformat make
    shape = video.codec_context.sample_aspect_ratio
    if shape:  # of the pixels, which were turned with the picture
        context.sample_aspect_ratio = 1 / shape if turned else shape
    return stream


def _audio_stream(result: Any, audio: Any, source: str, suffix: str) -> Any:
    """Add a copy of the audio, and begin to write.

    Raises:
        ImageError: If the container cannot hold it.
    """
    try:
        stream = result.add_stream_from_template(audio) if audio else None
        result.start_encoding()
    except ValueError:  # also FFmpeg's "invalid argument"
        kind = f" with its audio ({audio.codec_context.name})" if audio else ""
        raise ImageError(
            f"{source}: cannot be written as {suffix}{kind}; choose --format mkv"
        ) from None
    return stream
