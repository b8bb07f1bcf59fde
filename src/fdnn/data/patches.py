"""Random batches of aligned LR/HR patches, rotated and flipped (Sec. 4.1.4).

Both patches of a pair are cut at the same place of whole images, see :mod:`fdnn.data.pairs`: a patch
sees what the network sees at test time.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from fdnn.files.errors import UserError
from fdnn.images.pillow import Array
from fdnn.data.pairs import PairStore

# Albumentations asks the network for a newer version of itself at import unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

Batch = tuple[Tensor, Tensor, Tensor]

#: The luma of colour images lies between these (BT.601); a gray image is its own, from 0 to 255.
BLACK, WHITE = 16, 235
#: Grey levels by which a teacher may go beyond them.
OVERSHOOT = 8


def to_full_range(hr: Array, lr: Array, invert: bool) -> tuple[Array, Array]:
    """Stretch a pair from the luma of colour images to that of gray ones. Not in the paper.

    A network that never saw black below 16 can do anything there: trained without, outputs of some
    were millions of grey levels where an image was flat and black.

    Args:
        hr: ``(scale * h, scale * w)`` in [0, 255].
        lr: ``(h, w)`` as made from it, which may go beyond.
        invert: Make the negative, so that white areas come as often as black ones.

    Returns:
        Both in float32, HR in [0, 255]; both as they came if HR uses more than the luma of colour
        images.
    """
    if hr.min() < BLACK - OVERSHOOT or hr.max() > WHITE + OVERSHOOT:
        return hr, lr
    sign, black = (-1, WHITE) if invert else (1, BLACK)
    gain = np.float32(sign * 255 / (WHITE - BLACK))
    hr, lr = (gain * (each.astype(np.float32) - black) for each in (hr, lr))
    return hr.clip(0, 255), lr


def share(batch_size: int, world_size: int, parts: int) -> int:
    """Cut a batch into equal parts.

    Args:
        batch_size: Pairs in an optimizer step.
        world_size: Processes.
        parts: Accumulated parts of each.

    Returns:
        Pairs of a part.

    Raises:
        UserError: If that cannot be.
    """
    shares = world_size * parts
    if batch_size % shares:
        accumulated = f" with {parts} accumulated parts each" if parts > 1 else ""
        raise UserError(
            f"batch_size={batch_size} cannot be shared by {world_size} processes{accumulated}; "
            f"use a multiple of {shares}"
        )
    return batch_size // shares


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
        full_range: Probability that a pair is stretched (:func:`to_full_range`), and inverted in
            half of the cases. Not in the paper.

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
        full_range: float = 0.0,
    ) -> None:
        import albumentations as A

        self.store = store
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.parts = parts
        self.share = share(batch_size, world_size, parts)
        self.lr_size = store.patch_size // store.scale
        self.margin = margin
        self.full_range = full_range
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
            LR ``(n, 1, p, p)`` and HR ``(n, 1, s p, s p)``, HR in [0, 1] and LR a little beyond
            where bicubic overshoots, and which LR pixels count, ``(n, 1, p, p)`` bool.
        """
        step, part = divmod(number, self.parts)
        first = (self.rank * self.parts + part) * self.share
        mine = slice(first, first + self.share)
        random = np.random.default_rng([self.seed, step])
        places = random.integers(self.ends[-1], size=self.batch_size)
        seeds = random.integers(2**32, size=self.batch_size)
        chances = random.random((self.batch_size, 2))
        cut = []
        for place, seed, (chance, side) in zip(
            places[mine], seeds[mine], chances[mine], strict=True
        ):
            hr, lr, counts = self._cut(int(place), int(seed))
            if chance < self.full_range:
                hr, lr = to_full_range(hr, lr, invert=side < 0.5)
            cut.append((hr, lr, counts))
        stacked = (np.stack(each)[:, None] for each in zip(*cut, strict=True))
        hrs, lrs, which = map(torch.from_numpy, stacked)
        return lrs / 255, hrs.float() / 255, which

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
        return turned["image"], turned["lr"], turned["counts"]


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
