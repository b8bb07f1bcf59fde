"""Training patches and benchmark images as a LightningDataModule."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from fdnn.data.pairs import OnError, PairStore
from fdnn.data.patches import Batch, InTurn, TrainingBatches
from fdnn.data.sets import find_set
from fdnn.data.shards import Shards, find_images
from fdnn.data.teachers import Teachers
from fdnn.evaluation.score import BenchmarkImages
from fdnn.files.errors import UserError
from fdnn.files.home import expanded, real
from fdnn.images.pillow import Array


class StepSampler(Sampler[int]):
    """The part numbers of one epoch, going on from where training stands.

    Args:
        steps: Optimizer steps in an epoch.
        parts: Parts that the batch of a step is computed in (gradient accumulation).
        trainer: Tells how many steps were made before, also after a resume.
    """

    def __init__(self, steps: int, parts: int, trainer: pl.Trainer | None) -> None:
        self.steps = steps
        self.parts = parts
        self.trainer = trainer

    def __len__(self) -> int:
        return self.steps * self.parts

    def __iter__(self) -> Iterator[int]:
        # A whole epoch's, also in the midst of one: the Trainer counts, and takes what it needs.
        done = 0 if self.trainer is None else self.trainer.global_step
        return iter(range(done * self.parts, (done + self.steps) * self.parts))


class SRDataModule(pl.LightningDataModule):
    """Training patches for one or more scales, validation and test sets for one.

    The Trainer must leave sharding to this class: ``use_distributed_sampler=False``
    (``src/train.py`` sets it).

    Args:
        scale: Magnification that is validated, tested and, by default, trained.
        train_sets: Sets to train on: names (T91, BSDS200, sample-train, ...), folders, or shards
            (``data_prep/shard.py``) in folders or at URLs such as ``s3://bucket/name``.
        val_sets: Sets to validate on after every epoch: names or folders.
        test_sets: Sets for ``test``: names or folders.
        patch_size: Side of the HR patches in pixels; a multiple of each scale.
        margin: LR pixels at the border of a patch that the loss leaves out, unless the image itself
            ends there, see :class:`fdnn.data.patches.TrainingBatches`.
        batch_size: Pairs in an optimizer step, over all processes and accumulated parts.
        steps_per_epoch: Optimizer steps that make an epoch.
        resized_copies: Also train on each image shrunk by these factors.
        full_range: Part of the pairs whose luma is stretched from the 16 to 235 of colour images to
            the 0 to 255 of gray ones, which a network else never sees, see
            :func:`fdnn.data.patches.to_full_range`.
        teachers: Trained weights, files or folders, whose mean output takes the place of the HR
            images, see :mod:`fdnn.data.teachers`. ``run.json`` keeps their SHA-256.
        train_scales: Scales to train, one batch of each in turn; default: ``scale``. Others
            than that need a network that serves any scale, such as VDSR.
        on_error: What to do with unusable training images: ``strict`` stops, ``skip`` goes
            on without them and says which.
        seed: Decides which patches are drawn.
        num_workers: Processes that cut patches while the network trains.
        memory_mb: Collections above this many MiB are kept in a file, see ``PairStore``.
        cache_dir: Where that file goes; default ``~/.cache/fdnn``.

    Raises:
        UserError: If a number does not make sense.
    """

    def __init__(
        self,
        scale: int,
        train_sets: Sequence[str] = ("T91", "BSDS200"),
        val_sets: Sequence[str] = ("Set5",),
        test_sets: Sequence[str] = ("Set5", "Set14", "B100"),
        patch_size: int = 72,
        margin: int = 0,
        batch_size: int = 16,
        steps_per_epoch: int = 1000,
        resized_copies: Sequence[float] = (),
        full_range: float = 0.0,
        teachers: Sequence[str] = (),
        train_scales: Sequence[int] = (),
        on_error: OnError = "strict",
        seed: int = 0,
        num_workers: int = 1,
        memory_mb: int = 2048,
        cache_dir: str | None = None,
    ) -> None:
        super().__init__()
        for each in (scale, *train_scales):
            if each < 2:
                raise UserError(f"scale must be at least 2, got {each}")
            if patch_size < each or patch_size % each:
                raise UserError(
                    f"patch_size={patch_size} must be a multiple of every scale, here of {each}"
                )
        lr_patch = patch_size // max(train_scales or [scale])
        if not 0 <= 2 * margin < lr_patch:
            raise UserError(
                f"margin={margin} leaves nothing of patches of {lr_patch}x{lr_patch} LR pixels"
            )
        if batch_size < 1 or steps_per_epoch < 1:
            raise UserError(
                f"batch_size={batch_size} and steps_per_epoch={steps_per_epoch} must be at least 1"
            )
        if num_workers < 0:
            raise UserError(f"num_workers must be at least 0, got {num_workers}")
        if not all(0 < factor < 1 for factor in resized_copies):
            raise UserError(f"resized_copies must lie between 0 and 1, got {list(resized_copies)}")
        if not 0 <= full_range <= 1:
            raise UserError(f"full_range must lie between 0 and 1, got {full_range}")
        self.scale = scale
        self.train_scales = list(train_scales) or [scale]
        self.train_sets = list(train_sets)
        self.val_sets = list(val_sets)
        self.test_sets = list(test_sets)
        self.patch_size = patch_size
        self.margin = margin
        self.batch_size = batch_size
        self.steps_per_epoch = steps_per_epoch
        self.resized_copies = list(resized_copies)
        self.full_range = full_range
        self.teachers = list(teachers)
        self.on_error: OnError = on_error
        self.seed = seed
        self.num_workers = num_workers
        self.memory_mb = memory_mb
        self.cache_dir = cache_dir
        #: The training images, once for each scale.
        self.stores: list[PairStore] = []

    def prepare_data(self) -> None:
        """Write the patch file of a large collection, once per node."""
        if self.trainer is not None and self.trainer.state.fn == "fit":
            for scale in self.train_scales:
                self._make_store(scale).prepare()

    def setup(self, stage: str) -> None:
        """Load the images of training and validation (``fit``): a bad one is met before training.

        Raises:
            UserError: If two sets that will be scored, or one that is trained on and another that
                is not, go by one name, or images are bad.
        """
        _check_names(self.test_sets if stage == "test" else self.val_sets)
        if stage == "fit":
            _check_roles(self.train_sets, self.val_sets)
            for name in self.val_sets:
                images = BenchmarkImages(find_set(name), self.scale)
                for index in range(len(images)):
                    images[index]
            self._load()

    def _load(self) -> None:
        if not self.stores:
            stores = [self._make_store(scale) for scale in self.train_scales]
            for store in stores:
                store.load()
            self.stores = stores

    @property
    def skipped(self) -> list[str]:
        """Why training images were left out."""
        return list(dict.fromkeys(text for store in self.stores for text in store.skipped))

    def _make_store(self, scale: int) -> PairStore:
        if not self.train_sets:
            raise UserError("train_sets is empty; name at least one set or folder")
        sources: list[Path | Shards] = []
        for name in self.train_sets:
            images = find_images(name)
            sources += [images] if isinstance(images, Shards) else images.paths
        return PairStore(
            sources,
            scale,
            self.patch_size,
            self.resized_copies,
            self.on_error,
            self.memory_mb,
            expanded(self.cache_dir) if self.cache_dir else None,
            Teachers(self.teachers, scale) if self.teachers else None,
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Make a loader of :class:`fdnn.data.patches.TrainingBatches`: this process's pairs."""
        self._load()
        parts = self.trainer.accumulate_grad_batches if self.trainer is not None else 1
        batches = [
            TrainingBatches(
                store,
                self.batch_size,
                self.seed,
                rank=self._rank(),
                world_size=self._world_size(),
                parts=parts,
                margin=self.margin,
                full_range=self.full_range,
            )
            for store in self.stores
        ]
        return DataLoader(
            InTurn(batches),
            batch_size=None,
            sampler=StepSampler(self.steps_per_epoch, parts, self.trainer),
            num_workers=self.num_workers,
            worker_init_fn=_begin_worker,
            # Arrays go through a pipe; for tensors the main process would have to ask the
            # worker, which may be busy cutting the next batch, for file descriptors. A GPU's
            # transfers want pinned tensors.
            collate_fn=_as_arrays if self.num_workers and not torch.cuda.is_available() else None,
            prefetch_factor=8 if self.num_workers else None,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Turn the arrays that come from a worker into tensors."""
        if isinstance(batch, tuple) and isinstance(batch[0], np.ndarray):
            return tuple(torch.from_numpy(array) for array in batch)
        return batch

    def val_dataloader(self) -> list[DataLoader[dict[str, Any]]]:
        """One loader per validation set."""
        return self._benchmark_loaders(self.val_sets)

    def test_dataloader(self) -> list[DataLoader[dict[str, Any]]]:
        """One loader per test set."""
        return self._benchmark_loaders(self.test_sets)

    def _benchmark_loaders(self, names: Sequence[str]) -> list[DataLoader[dict[str, Any]]]:
        loaders = []
        for name in names:
            dataset = BenchmarkImages(find_set(name), self.scale)
            # Every process takes its own images; none is repeated to even out the shares. But all
            # must take part: those behind the last image score one of another's, counted once.
            first = self._rank() % len(dataset)
            share = range(first, len(dataset), self._world_size())
            loaders.append(DataLoader(dataset, batch_size=None, sampler=share))
        return loaders

    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer is not None else 0

    def _world_size(self) -> int:
        return self.trainer.world_size if self.trainer is not None else 1


def _check_names(names: Sequence[str]) -> None:
    """Refuse sets whose scores would be kept under one name."""
    known: dict[str, str] = {}
    for given in names:
        name = find_set(given).name
        if name in known:
            raise UserError(
                f"{known[name]} and {given} would both be called {name} in tables and logs; "
                "leave one out, or rename its folder"
            )
        known[name] = given


def _check_roles(train_sets: Sequence[str], val_sets: Sequence[str]) -> None:
    """Refuse folders of one name of which one is trained on, the other validated with."""
    for given in train_sets:
        for other in val_sets:
            same = real(expanded(given)) == real(expanded(other))
            if Path(given).name == Path(other).name and not same:
                raise UserError(
                    f"{given} and {other} would both be called {Path(given).name} on the card; "
                    "rename a folder"
                )


def _begin_worker(worker: int) -> None:  # noqa: ARG001
    # A scheduler sends SIGTERM, and a terminal Ctrl-C, to workers as well. The trainer writes a
    # checkpoint then, for which it needs the rest of its step. A second signal ends a worker.
    def pass_once(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
        signal.signal(signum, signal.SIG_DFL)

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, pass_once)
    # After a kill of the trainer, PyTorch's worker waits for ever to write its last batch.
    threading.Thread(target=_end_with, args=[os.getppid()], daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(2)
    os._exit(1)


def _as_arrays(batch: Any) -> tuple[Array, ...]:
    return tuple(tensor.numpy() for tensor in batch)
