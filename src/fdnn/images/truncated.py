"""Files that end before they say they do: decoders show what is there, as if it were all."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

#: First bytes of an EBML file (Matroska, WebM), of which the segment is the second element.
EBML = b"\x1a\x45\xdf\xa3"

#: Kinds of boxes with which MP4 and MOV begin, and those that hold what is shown.
BOXES = {b"ftyp", b"free", b"mdat", b"moof", b"moov", b"skip", b"wide"}
NEEDED = {b"mdat", b"moof", b"moov"}


def gif_ends_early(content: bytes) -> bool:
    """Tell whether a GIF lacks its trailer: what is behind the last whole block is lost.

    Args:
        content: The file, whose first bytes were found to be those of a GIF.
    """
    try:
        place = 13 + _colours(content[10])
        while content[place] != 0x3B:  # the trailer
            if content[place] == 0x2C:  # an image: its place and size, colours, code size
                place += 11 + _colours(content[place + 9])
            elif content[place] == 0x21:  # an extension: its kind
                place += 2
            else:  # nothing of its own, which decoders pass over
                place += 1
                continue
            while content[place]:  # blocks of up to 255 bytes
                place += 1 + content[place]
            place += 1
    except IndexError:
        return True
    return False


def _colours(flags: int) -> int:
    return 3 << (flags % 8 + 1) if flags & 0x80 else 0


def video_ends_early(path: Path) -> bool:
    """Tell whether a video's outermost parts are longer than the file.

    Known are MP4 and MOV, AVI, and Matroska and WebM; others, and streams without lengths, pass.

    Args:
        path: A file that exists.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF":
            return 8 + int(struct.unpack("<I", head[4:8])[0]) > size
        if head[:4] == EBML:
            return _segment_end(file) > size
        return head[4:8] in BOXES and _boxes_end(file, size) > size


def _boxes_end(file: BinaryIO, size: int) -> int:
    place = 0
    while place + 8 <= size:
        file.seek(place)
        head = file.read(16)
        length = int(struct.unpack(">I", head[:4])[0])
        if length == 1 and len(head) == 16:
            length = int(struct.unpack(">Q", head[8:])[0])
        if length < 8:  # 0: up to the end of the file
            return size
        if head[4:8] in NEEDED or place + length <= size:
            place += length
        else:
            return size
    return place


def _segment_end(file: BinaryIO) -> int:
    file.seek(len(EBML))
    length = _number(file)
    file.seek((length or 0) + 4, 1)  # over the head, and the segment's own name
    length = _number(file)
    return file.tell() + length if length is not None else 0


def _number(file: BinaryIO) -> int | None:
    """Read a number whose first bits say its length; ``None`` if it is not known."""
    first = (file.read(1) or b"\0")[0]
    more = 8 - first.bit_length()
    if more > 7:
        return None
    bits = 7 * (more + 1)
    number = int.from_bytes(bytes([first]) + file.read(more), "big") & ((1 << bits) - 1)
    return None if number == (1 << bits) - 1 else number
