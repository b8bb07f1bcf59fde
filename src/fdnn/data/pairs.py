"""Training images as pairs of HR and LR luma, in memory or packed into a file (Sec. 4.1.4).

The LR image is made from the **whole** HR luma by MATLAB-exact bicubic, not from each patch by
itself, which would put a mirrored border around every one of them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from fdnn.files.errors import ImageError, UserError
from fdnn.files.atomic import replacing
from fdnn.files.digest import sha256
from fdnn.files.home import real
from fdnn.images.pillow import Array
from fdnn.images.io import count_pixels, read_image
from fdnn.images.luma import luma, modcrop
from fdnn.images.luma import to_8_bit
from fdnn.images.resize import imresize
from fdnn.data.shards import Member, Shards
from fdnn.data.teachers import Teachers

log = logging.getLogger(__name__)

OnError = Literal["strict", "skip"]
Pair = tuple[NDArray[np.uint8], NDArray[np.float32]]


def make_pair(hr: Array, scale: int) -> Pair:
    """Make the training pair of one HR luma image.

    Args:
        hr: ``(h, w)`` float64 in [0, 255], both sides multiples of ``scale``.
        scale: Magnification.

    Returns:
        HR ``(h, w)`` rounded to 8 bits, LR ``(h / scale, w / scale)`` in float32, not rounded.
    """
    image = torch.from_numpy(np.ascontiguousarray(hr))
    lr = imresize(image, 1 / scale)
    return to_8_bit(image).to(torch.uint8).numpy(), lr.float().numpy()


def _cache_dir() -> Path:
    try:
        return Path.home() / ".cache" / "fdnn"
    except RuntimeError:  # a user whom the system does not know, as in containers
        raise UserError("there is no home folder to pack images in; set --data.cache_dir") from None


class PairStore:
    """The HR and LR luma of a collection of images, in memory or in one file on disk.

    A pixel takes ``1 + 4 / scale**2`` bytes. Collections that need more than ``memory_mb``
    are written once to a file in ``cache_dir`` and mapped from there: the process then uses
    what the operating system keeps in its page cache, however large the collection is.

    Args:
        sources: Image files in any format that :func:`fdnn.images.io.read_image` reads, and shards
            of such files.
        scale: Magnification.
        patch_size: HR pixels, a multiple of ``scale``; smaller images cannot be used.
        resized_copies: Also use each image shrunk by these factors (between 0 and 1).
            Copies that come out smaller than the patch are left out.
        on_error: ``"strict"`` stops at the first unusable file, ``"skip"`` leaves it out and
            logs it; ``skipped`` lists the reasons.
        memory_mb: Bound for keeping everything in memory, in MiB.
        cache_dir: Folder for what does not fit.
        teachers: Take what these make of the LR images instead of the HR images, see
            :mod:`fdnn.data.teachers`. As this takes long, the result is always kept in a file.

    Raises:
        ImageError: In strict mode, for the first unusable file.
        UserError: If no usable image is left.
    """

    def __init__(
        self,
        sources: Sequence[Path | Shards],
        scale: int,
        patch_size: int,
        resized_copies: Sequence[float] = (),
        on_error: OnError = "strict",
        memory_mb: int = 2048,
        cache_dir: Path | None = None,
        teachers: Teachers | None = None,
    ) -> None:
        self.sources = list(sources)
        self.images = sum(len(s) if isinstance(s, Shards) else 1 for s in self.sources)
        self.scale = scale
        self.patch_size = patch_size
        self.factors = [1.0, *resized_copies]
        self.on_error = on_error
        self.teachers = teachers
        self.skipped: list[str] = []
        self.pairs: list[Pair] = []
        on_disk = teachers is not None or self._bytes() > memory_mb << 20
        self.file: Path | None = None
        if on_disk:
            self.file = (cache_dir or _cache_dir()) / f"pairs-{self._key()}.bin"

    def _bytes(self) -> float:
        """Estimate the size from the files' headers; unreadable files count as nothing."""
        pixels = sum(s.pixels if isinstance(s, Shards) else count_pixels(s) for s in self.sources)
        return pixels * (1 + 4 / self.scale**2) * sum(f * f for f in self.factors)

    def _key(self) -> str:
        """Name everything that the file's content depends on."""
        facts: list[Any] = [2, self.scale, self.patch_size, self.factors, self.on_error]
        if self.teachers:
            facts.append(self.teachers.hashes)
        for source in self.sources:
            if isinstance(source, Shards):
                facts.append(source.sha256())
                continue
            if self.teachers and os.access(source, os.R_OK):
                # What takes minutes to make is not made again for a copy of the same images.
                facts.append(sha256(source))
                continue
            stat = source.stat() if source.exists() else None
            facts.append([str(real(source)), stat and stat.st_size, stat and stat.st_mtime_ns])
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    def _files(self) -> Iterator[Path | Member]:
        for source in self.sources:
            if isinstance(source, Shards):
                yield from source.members()
            else:
                yield source

    def _pairs_of(self, file: Path | Member) -> list[Pair] | str:
        """Make one file's pairs, or say why that cannot be done."""
        try:
            image = luma(file.read() if isinstance(file, Member) else read_image(file))
            if min(image.shape) < self.patch_size:
                height, width = image.shape
                raise ImageError(
                    f"{file.name if isinstance(file, Member) else file}: "
                    f"{width}x{height} is smaller than the patch of "
                    f"{self.patch_size}x{self.patch_size}; "
                    "choose a smaller patch_size, or leave it out (on_error: skip)"
                )
        except ImageError as error:
            if self.on_error == "strict":
                raise
            return str(error)
        pairs = []
        for factor in self.factors:
            copy = image
            if factor != 1:
                copy = to_8_bit(imresize(torch.from_numpy(image), factor)).numpy()
            if min(copy.shape) >= self.patch_size:
                hr, lr = make_pair(modcrop(copy, self.scale), self.scale)
                pairs.append((self.teachers.target(lr) if self.teachers else hr, lr))
        return pairs

    def _make(self) -> Iterator[Pair]:
        """Make all pairs in order, several files at a time."""
        # Teachers use all processors, or the GPU, by themselves.
        with ThreadPoolExecutor(max_workers=1 if self.teachers else os.cpu_count()) as pool:
            files = self._files()
            waiting = [pool.submit(self._pairs_of, file) for file in islice(files, 8)]
            quiet = self.images < 1000 and self.teachers is None
            for _ in track(range(self.images), description="preparing images", disable=quiet):
                made = waiting.pop(0).result()
                waiting += [pool.submit(self._pairs_of, file) for file in islice(files, 1)]
                if isinstance(made, str):
                    self.skipped.append(made)
                    log.warning("left out: %s", made)
                else:
                    yield from made

    def prepare(self) -> None:
        """Write the file, if this collection needs one and none is there, or a damaged one.

        Raises:
            UserError: If there is no room for it.
        """
        if self.file is None:
            return
        if self.file.exists():
            damage = self._damage()
            if damage is None:
                return
            log.warning("%s is damaged (%s); making it anew", self.file, damage)
            self.skipped = []
        log.warning("writing %d training images to %s", self.images, self.file)
        try:
            self._write(self.file)
        except OSError as error:
            raise UserError(
                f"training images cannot be packed into {self.file} ({error.strerror or error}); "
                "make room, or choose another --data.cache_dir"
            ) from None

    def _write(self, file: Path) -> None:
        shapes, checksum, size = [], 0, 0
        with replacing(file) as temporary:
            with temporary.open("wb") as out:
                for hr, lr in self._make():
                    shapes.append(lr.shape)
                    for part in (lr.tobytes(), hr.tobytes(), bytes(-hr.size % 4)):
                        out.write(part)
                        checksum = zlib.crc32(part, checksum)
                        size += len(part)
            index = {"shapes": shapes, "skipped": self.skipped, "size": size, "crc32": checksum}
            with replacing(file.with_suffix(".json")) as of_index:
                of_index.write_text(json.dumps(index))

    def _damage(self, thorough: bool = True) -> str | None:
        """Say how the file differs from what was written; ``thorough`` reads it end to end."""
        assert self.file is not None
        try:
            index = json.loads(self.file.with_suffix(".json").read_text())
            if self.file.stat().st_size != index["size"]:
                return f"{self.file.stat().st_size} bytes instead of {index['size']}"
            checksum = 0 if thorough else index["crc32"]
            with self.file.open("rb") as file:
                while thorough and (part := file.read(1 << 24)):
                    checksum = zlib.crc32(part, checksum)
            return None if checksum == index["crc32"] else "other bytes than were written"
        except (OSError, ValueError, KeyError, TypeError) as error:
            return f"its index cannot be read: {error}"

    def load(self) -> None:
        """Make the pairs available in ``pairs``.

        Raises:
            UserError: If no image can be used.
        """
        if self.file is None:
            self.pairs = list(self._make())
        else:
            if not self.file.exists() or self._damage(thorough=False):
                self.prepare()
            self._map()
        self.teachers = None  # which hold memory, a GPU's maybe
        if not self.pairs:
            raise UserError(f"none of the {self.images} training images can be used")

    def _map(self) -> None:
        assert self.file is not None
        index = json.loads(self.file.with_suffix(".json").read_text())
        self.skipped = index["skipped"]
        self.pairs = []
        if not index["shapes"]:
            return  # an empty file cannot be mapped
        data = np.memmap(self.file, dtype=np.uint8, mode="r")
        at = 0
        for h, w in index["shapes"]:
            lr = np.asarray(data[at : at + 4 * h * w]).view(np.float32).reshape(h, w)
            at += lr.nbytes
            hr = np.asarray(data[at : at + h * w * self.scale**2])
            at += hr.size + -hr.size % 4
            self.pairs.append((hr.reshape(h * self.scale, w * self.scale), lr))

    def __getstate__(self) -> dict[str, Any]:
        # A mapped file is opened anew in another process instead of being copied there.
        return {**self.__dict__, "pairs": [], "teachers": None} if self.file else self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.file and self.file.exists():
            self._map()
