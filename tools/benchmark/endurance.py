"""``python -m tools.benchmark.endurance``: do memory and open files grow over a long run?

Trains a tiny network for many steps on tiny patches, with all that a real run has beside it (a
worker that cuts patches, validation, averaged weights, checkpoints, logs), then magnifies many
files. Linux only: the figures come from ``/proc``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image

from fdnn.files.errors import UserError, one_line
from fdnn.files.quiet import quiet_libraries
from fdnn.models import FDNN
from fdnn.predict.trainer import Trainer
from fdnn.training.averaging import MovingAverage
from fdnn.training.callbacks import RunRecord, Throughput
from fdnn.training.checkpoints import SafeCheckpoints
from fdnn.training.datamodule import SRDataModule
from fdnn.training.logs import RunLogger
from fdnn.training.module import SuperResolution

PROC = Path("/proc/self")
#: Samples of a run, and the share of them at its start that is left out: libraries make their
#: pools and caches there.
SAMPLES = 200
WARM_UP = 0.2


class Sample(NamedTuple):
    """What the process and its workers held at a moment.

    Attributes:
        done: Steps or files so far.
        mib: Resident memory in MiB. Pages that processes share count for each.
        files: Open file handles.
    """

    done: int
    mib: float
    files: int


def sample(done: int) -> Sample:
    """Look at this process and its children now."""
    kib = files = 0
    for process in [PROC, *(Path("/proc") / pid for pid in _children())]:
        status = (process / "status").read_text()
        kib += next(int(s.split()[1]) for s in status.splitlines() if s.startswith("VmRSS"))
        files += len(list((process / "fd").iterdir()))
    return Sample(done, kib / 1024, files)


def _children() -> list[str]:
    return [
        pid for task in (PROC / "task").iterdir() for pid in (task / "children").read_text().split()
    ]


def growth(samples: Sequence[Sample]) -> dict[str, float]:
    """Sum up samples, those of the start left out.

    Returns:
        ``mib``: the median of all. ``mib_per_1000``: slope of a straight line through memory,
        for 1,000 steps or files (Theil-Sen: outliers do not count). ``files_first``,
        ``files_last``, ``files_most``: open files.
    """
    from scipy.stats import theilslopes

    kept = samples[int(len(samples) * WARM_UP) :]
    slope = theilslopes([s.mib for s in kept], [s.done for s in kept])[0]
    return {
        "mib": float(np.median([s.mib for s in kept])),
        "mib_per_1000": 1000 * float(slope),
        "files_first": kept[0].files,
        "files_last": kept[-1].files,
        "files_most": max(s.files for s in kept),
    }


class Sampler(pl.Callback):
    """Takes samples while a Trainer works.

    Args:
        every: Batches between two.
    """

    def __init__(self, every: int) -> None:
        self.every = max(1, every)
        self.samples: list[Sample] = []
        self.done = 0

    def _count(self) -> None:
        self.done += 1
        if self.done % self.every == 0:
            self.samples.append(sample(self.done))

    def on_train_batch_end(self, *_: Any) -> None:
        """Count a step."""
        self._count()

    def on_predict_batch_end(self, *_: Any) -> None:
        """Count a file."""
        self._count()


def train(steps: int, folder: Path) -> list[Sample]:
    """Train in 40 epochs.

    Args:
        steps: How many in all.
        folder: Where photos and logs go.

    Returns:
        Memory and open files on the way.
    """
    photos = _photos(folder / "photos", 8, (48, 40))
    epoch = max(1, steps // 40)
    data = SRDataModule(
        2, [str(photos)], [str(photos)], patch_size=16, batch_size=2, steps_per_epoch=epoch
    )
    sampler = Sampler(steps // SAMPLES)
    trainer = _trainer(
        max_epochs=steps // epoch,
        logger=RunLogger(folder, "endurance"),
        callbacks=[
            MovingAverage(decay=0.99),
            ModelCheckpoint(
                filename="last", enable_version_counter=False, save_on_train_epoch_end=True
            ),
            Throughput(10),
            RunRecord(),
            sampler,
        ],
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    trainer.fit(SuperResolution(FDNN(2, channels=4)), datamodule=data)
    return sampler.samples


def predict(count: int, folder: Path) -> list[Sample]:
    """Magnify image files.

    Args:
        count: How many.
        folder: Where they and the results go.

    Returns:
        Memory and open files on the way.
    """
    photos = _photos(folder / "inputs", count, (24, 20))
    sampler = Sampler(count // SAMPLES)
    trainer = _trainer(logger=False, callbacks=[sampler])
    trainer.predict(
        SuperResolution(FDNN(2, channels=4)), input=str(photos), output=str(folder / "outputs")
    )
    return sampler.samples


def _trainer(**options: Any) -> Trainer:
    return Trainer(
        accelerator="cpu",
        devices=1,
        plugins=[SafeCheckpoints()],
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def _photos(folder: Path, count: int, size: tuple[int, int]) -> Path:
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for i in range(count):
        noise = random.integers(0, 256, (size[1] // 4, size[0] // 4, 3), dtype=np.uint8)
        Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(folder / f"{i:05}.png")
    return folder


def plot(runs: dict[str, list[Sample]], file: Path) -> None:
    """Draw memory and open files over the course of each run.

    Args:
        runs: Samples by the title of the run's axis.
        file: Where the picture goes.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axes, (name, samples) in zip(figure.subplots(1, len(runs)), runs.items(), strict=True):
        done = [s.done for s in samples]
        axes.plot(done, [s.mib for s in samples], color="C0")
        axes.set(xlabel=name, ylabel="resident memory, MiB")
        axes.set_ylim(0, 1.2 * max(s.mib for s in samples))
        axes.yaxis.label.set_color("C0")
        right = axes.twinx()
        right.plot(done, [s.files for s in samples], color="C1", linewidth=1)
        right.set(ylabel="open files", ylim=(0, 2 * max(s.files for s in samples)))
        right.yaxis.label.set_color("C1")
    figure.savefig(file, dpi=110)


@one_line
def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.benchmark.endurance", description=__doc__
    )
    parser.add_argument("--steps", type=int, default=20_000, help="of training (20000)")
    parser.add_argument("--files", type=int, default=2_000, help="to magnify (2000)")
    parser.add_argument("--output", type=Path, required=True, help="writes NAME.json and NAME.png")
    options = parser.parse_args(args)
    if min(options.steps, options.files) < 40:
        parser.error(
            f"--steps and --files must be at least 40, got {options.steps}, {options.files}"
        )
    quiet_libraries()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    if not PROC.is_dir():
        raise UserError("/proc is needed to look at memory and open files: Linux only")
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError("the plot needs matplotlib; pip install -e '.[report]'")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            "training steps": train(options.steps, Path(folder) / "train"),
            "files magnified": predict(options.files, Path(folder) / "predict"),
        }
    summary = {name: growth(samples) for name, samples in runs.items()}
    result = {"summary": summary, "samples": runs}
    options.output.with_suffix(".json").write_text(json.dumps(result) + "\n")
    plot(runs, options.output.with_suffix(".png"))
    for name, figures in summary.items():
        print(
            f"{name}: {figures['mib']:.0f} MiB, {figures['mib_per_1000']:+.3f} MiB per 1,000; "
            f"open files {figures['files_first']} to {figures['files_last']}, "
            f"at most {figures['files_most']}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
