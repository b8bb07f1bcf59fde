"""Aligned LR/HR training patches (Sec. 4.1.4).

The LR image is made from the **whole** HR luma by MATLAB-exact bicubic, then both are cut
at the same place, so that a patch sees what the network sees at test time. (Shrinking each
patch by itself would put a mirrored border around every one of them.)
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import tempfile
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
from torch import Tensor
from torch.utils.data import Dataset

from fdnn.errors import ImageError, UserError
from fdnn.files.atomic import replacing
from fdnn.images import Array, count_pixels, luma, modcrop, read_image
from fdnn.metrics import to_8_bit
from fdnn.resize import imresize
from fdnn.shards import Member, Shards
from fdnn.teachers import Teachers
from fdnn.weights import sha256

# Albumentations asks the network for a newer version of itself at import unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

log = logging.getLogger(__name__)

OnError = Literal["strict", "skip"]
Pair = tuple[NDArray[np.uint8], NDArray[np.float32]]
Batch = tuple[Tensor, Tensor, Tensor]


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


class PairStore:
    """The HR and LR luma of a collection of images, in memory or in one file on disk.

    A pixel takes ``1 + 4 / scale**2`` bytes. Collections that need more than ``memory_mb``
    are written once to a file in ``cache_dir`` and mapped from there: the process then uses
    what the operating system keeps in its page cache, however large the collection is.

    Args:
        sources: Image files in any format that :func:`fdnn.images.read_image` reads, and shards
            of such files.
        scale: Magnification.
        patch_size: HR pixels; images smaller than this cannot be used.
        resized_copies: Also use each image shrunk by these factors (between 0 and 1).
            Copies that come out smaller than the patch are left out.
        on_error: ``"strict"`` stops at the first unusable file, ``"skip"`` leaves it out and
            logs it; ``skipped`` lists the reasons.
        memory_mb: Bound for keeping everything in memory, in MiB.
        cache_dir: Folder for what does not fit.
        teachers: Take what these make of the LR images instead of the HR images, see
            :mod:`fdnn.teachers`. As this takes long, the result is always kept in a file.

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
        cache_dir = cache_dir or Path.home() / ".cache" / "fdnn"
        on_disk = teachers is not None or self._bytes() > memory_mb << 20
        self.file = cache_dir / f"pairs-{self._key()}.bin" if on_disk else None

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
            if self.teachers and source.exists():
                # What takes minutes to make is not made again for a copy of the same images.
                facts.append(sha256(source))
                continue
            stat = source.stat() if source.exists() else None
            facts.append([str(source.resolve()), stat and stat.st_size, stat and stat.st_mtime_ns])
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    def _files(self) -> Iterator[Path | Member]:
        for source in self.sources:
            if isinstance(source, Shards):
                yield from source.members()
            else:
                yield source

    def _pairs_of(self, file: Path | Member) -> list[Pair] | str:
        """Make one file's pairs, or say why that cannot be done."""
        smallest = max(self.patch_size, self.scale)
        try:
            image = luma(file.read() if isinstance(file, Member) else read_image(file))
            if min(image.shape) < smallest:
                height, width = image.shape
                raise ImageError(
                    f"{file.name if isinstance(file, Member) else file}: "
                    f"{height}x{width} is smaller than the patch of "
                    f"{smallest}x{smallest}; choose a smaller patch_size, or on_error: skip"
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
            copy = modcrop(copy, self.scale) if min(copy.shape) >= self.scale else copy
            if min(copy.shape) >= smallest - smallest % self.scale:
                hr, lr = make_pair(copy, self.scale)
                pairs.append((self.teachers.target(lr) if self.teachers else hr, lr))
        return pairs

    def _make(self) -> Iterator[Pair]:
        """Make all pairs in order, several files at a time."""
        # Teachers use all processors by themselves.
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
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".pairs-", dir=file.parent)
        try:
            shapes, checksum, size = [], 0, 0
            with os.fdopen(handle, "wb") as out:
                for hr, lr in self._make():
                    shapes.append(lr.shape)
                    for part in (lr.tobytes(), hr.tobytes(), bytes(-hr.size % 4)):
                        out.write(part)
                        checksum = zlib.crc32(part, checksum)
                        size += len(part)
            index = {"shapes": shapes, "skipped": self.skipped, "size": size, "crc32": checksum}
            with replacing(file.with_suffix(".json")) as of_index:
                of_index.write_text(json.dumps(index))
            Path(temporary).replace(file)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

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
        """Make the pairs available in ``pairs``."""
        if self.file is None:
            self.pairs = list(self._make())
        else:
            if not self.file.exists() or self._damage(thorough=False):
                self.prepare()
            self._map()
        if not self.pairs:
            raise UserError(f"none of the {self.images} training images can be used")

    def _map(self) -> None:
        assert self.file is not None
        index = json.loads(self.file.with_suffix(".json").read_text())
        self.skipped = index["skipped"]
        data = np.memmap(self.file, dtype=np.uint8, mode="r")
        self.pairs = []
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


class TrainingBatches(Dataset[Batch]):
    """Random batches of aligned patches, each a function of the seed and its number alone.

    Without a margin, every place of every image is drawn with equal probability; one of the eight
    rotations and flips (the dihedral group D4, Sec. 4.1.4) is applied to both patches of a pair.
    Batch ``i`` is drawn as a whole, then each process and each of its ``parts`` takes its share:
    the same batches come out with any number of workers, processes and accumulated parts.

    Near the border of a patch a network sees zeros where the image goes on. With a ``margin``, the
    pixels there do not count, unless the image itself ends there; and places along its ends are
    drawn more often, so that its first pixels count about as often as any others.

    Args:
        store: Where patches are cut from.
        batch_size: Pairs in a batch, over all processes and parts.
        seed: Any non-negative integer.
        rank: This process's place among ``world_size``.
        world_size: Number of processes.
        parts: Parts of a process's share, whose gradients are accumulated; items ``parts * i``
            and those after it make batch ``i``. ``world_size * parts`` must divide ``batch_size``.
        margin: LR pixels, less than half of a patch.

    Raises:
        UserError: If the batch cannot be shared evenly.
    """

    def __init__(
        self,
        store: PairStore,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        parts: int = 1,
        margin: int = 0,
    ) -> None:
        shares = world_size * parts
        if batch_size % shares:
            accumulated = f" with {parts} accumulated parts each" if parts > 1 else ""
            raise UserError(
                f"batch_size={batch_size} cannot be shared by {world_size} processes{accumulated}; "
                f"use a multiple of {shares}"
            )
        import albumentations as A

        self.store = store
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.parts = parts
        self.share = batch_size // shares
        self.lr_size = store.patch_size // store.scale
        self.margin = margin
        # Places that lie over the end of an image by so much are moved to it. Half of the pixels
        # that count is the middle between too few patches for the first pixels and too many for
        # those behind them.
        self.over = (self.lr_size - 2 * margin) // 2 if margin else 0
        self.ends = np.cumsum([math.prod(self._places(lr)) for _, lr in store.pairs])
        # HR and LR differ in size, which Compose would otherwise refuse.
        self.augment = A.Compose(
            [A.D4(p=1)], additional_targets={"lr": "image", "counts": "mask"}, is_check_shapes=False
        )

    def _places(self, lr: Array) -> tuple[int, int]:
        height, width = (side - self.lr_size + 1 + 2 * self.over for side in lr.shape)
        return height, width

    def __getitem__(self, number: int) -> Batch:
        """Return part ``number``.

        Returns:
            LR ``(n, 1, p, p)`` and HR ``(n, 1, s p, s p)`` in [0, 1], and which LR pixels count,
            ``(n, 1, p, p)`` bool.
        """
        step, part = divmod(number, self.parts)
        first = (self.rank * self.parts + part) * self.share
        mine = slice(first, first + self.share)
        random = np.random.default_rng([self.seed, step])
        places = random.integers(self.ends[-1], size=self.batch_size)
        seeds = random.integers(2**32, size=self.batch_size)
        cut = [self._cut(int(p), int(s)) for p, s in zip(places[mine], seeds[mine], strict=True)]
        stacked = (np.stack(each)[:, None] for each in zip(*cut, strict=True))
        lr, hr, counts = map(torch.from_numpy, stacked)
        return lr / 255, hr.float() / 255, counts

    def _cut(self, place: int, seed: int) -> tuple[Array, Array, Array]:
        image = int(np.searchsorted(self.ends, place, side="right"))
        hr, lr = self.store.pairs[image]
        before = int(self.ends[image - 1]) if image else 0
        p, s, m = self.lr_size, self.store.scale, self.margin
        last = np.array(lr.shape) - p
        y, x = np.clip(np.array(divmod(place - before, self._places(lr)[1])) - self.over, 0, last)
        rows, columns = (
            slice(m if at else 0, p - m if at < end else p)
            for at, end in zip((y, x), last, strict=True)
        )
        counts = np.zeros((p, p), bool)
        counts[rows, columns] = True
        self.augment.set_random_seed(seed)
        turned = self.augment(
            image=hr[y * s : (y + p) * s, x * s : (x + p) * s],
            lr=lr[y : y + p, x : x + p],
            counts=counts,
        )
        return turned["lr"], turned["image"], turned["counts"]


class InTurn(Dataset[Batch]):
    """Batches of several scales, one of each in turn.

    Args:
        sources: One for each scale.
    """

    def __init__(self, sources: Sequence[TrainingBatches]) -> None:
        self.sources = list(sources)

    def __getitem__(self, number: int) -> Batch:
        """Return part ``number``, see :class:`TrainingBatches`; all parts of a batch are of one."""
        step = number // self.sources[0].parts
        return self.sources[step % len(self.sources)][number]
