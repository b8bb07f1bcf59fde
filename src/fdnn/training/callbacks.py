"""What a training run leaves behind: speed, pictures, its origin, its weights."""

from __future__ import annotations

import json
import logging
import shlex
import sys
import time
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
from lightning.pytorch.callbacks import (
    RichProgressBar,
    StochasticWeightAveraging,
    WeightAveraging,
)
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from fdnn.data.sets import COUNTS, find_set
from fdnn.data.shards import find_images
from fdnn.evaluation.strips import strip
from fdnn.files.atomic import replacing
from fdnn.files.digest import sha256
from fdnn.files.errors import UserError
from fdnn.files.provenance import METRICS_NAME, RECORD_NAME, git_commit, hardware, versions
from fdnn.models.cost import parameters
from fdnn.models.weights import FILE_NAME, find_weights, save_weights
from fdnn.training.averaging import MovingAverage
from fdnn.training.checkpoints import run_folder
from fdnn.training.logs import RunLogger
from fdnn.training.module import SuperResolution

log = logging.getLogger(__name__)

#: Callbacks whose runs end with averaged weights.
AVERAGING = (MovingAverage, WeightAveraging, StochasticWeightAveraging)

#: Of the data module: what a resumed run may have otherwise than the run before, and then says.
RECIPE = (
    "seed",
    "train_scales",
    "patch_size",
    "margin",
    "batch_size",
    "resized_copies",
    "full_range",
    "steps_per_epoch",
)


class Throughput(pl.Callback):
    """Logs ``speed/pairs_per_s`` and ``speed/data_wait``, the share of time waiting for data.

    Args:
        every: Optimizer steps between two entries. Rows of the log between them repeat the last.

    Raises:
        ValueError: If ``every`` is not positive.
    """

    def __init__(self, every: int = 50) -> None:
        if every < 1:
            raise ValueError(f"every must be at least 1, got {every}")
        self.every = every
        self.since = time.perf_counter()
        self.batches = 0
        self.last_end = self.paused = self.since
        self.waited = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start counting anew, without what lies between epochs."""
        self.since = self.last_end = time.perf_counter()
        self.batches = 0
        self.waited = 0.0

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the time: validation may fall inside an epoch."""
        self.paused = time.perf_counter()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the time since then out."""
        pause = time.perf_counter() - self.paused
        self.since += pause
        self.last_end += pause

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Count the time since the last batch ended as waiting."""
        self.waited += time.perf_counter() - self.last_end

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Log the means since the last time."""
        self.batches += 1
        self.last_end = now = time.perf_counter()
        if self.batches % (self.every * trainer.accumulate_grad_batches) == 0:
            elapsed = now - self.since
            pairs = self.batches * len(batch[0]) * trainer.world_size
            pl_module.log("speed/pairs_per_s", pairs / elapsed)
            pl_module.log("speed/data_wait", self.waited / elapsed)
            self.since, self.batches, self.waited = now, 0, 0.0


class TrainingProgress(RichProgressBar):
    """Shows the PSNR of a batch, its loss and the last validation's PSNR.

    Lightning's own bar reads every number from the device in each step. These are read at logging
    steps.
    """

    def get_metrics(  # type: ignore[override]
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, str]:
        """Return the numbers that the module last read."""
        return cast(SuperResolution, pl_module).shown


class PictureStrips(pl.Callback):
    """Draws bicubic | SR | HR for validation images, as files and for W&B.

    To draw with averaged weights it must stand after the averaging callback in the config.

    Args:
        every_n_epochs: How often while training; the end of training always is drawn.
        images: At most so many images of each validation set.

    Raises:
        ValueError: If ``every_n_epochs`` is not positive.
    """

    def __init__(self, every_n_epochs: int = 10, images: int = 5) -> None:
        if every_n_epochs < 1:
            raise ValueError(f"every_n_epochs must be at least 1, got {every_n_epochs}")
        self.every_n_epochs = every_n_epochs
        self.images = images

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw with the weights that are about to be scored, if it is time."""
        fitting = trainer.state.fn == "fit"
        due = (trainer.current_epoch + 1) % self.every_n_epochs == 0
        if trainer.sanity_checking or trainer.fast_dev_run or (fitting and not due):  # type: ignore[attr-defined]
            return
        if trainer.is_global_zero:
            self.draw(trainer, pl_module)

    def draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write ``pictures/<set>_<image>.png`` into the run's folder and send them to W&B."""
        net = cast(SuperResolution, pl_module).net
        folder = run_folder(trainer) / "pictures"
        for name in trainer.datamodule.val_sets:  # type: ignore[attr-defined]
            images = find_set(name)
            titled = list(zip(images.paths, images.titles(), strict=True))[: self.images]
            for path, title in titled:
                file = folder / f"{images.name}_{title}.png"
                picture = Image.fromarray(strip(path, {net.title: net}, net.scale))
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                    picture.save(file)
                    for logger in trainer.loggers:
                        if isinstance(logger, WandbLogger):
                            logger.log_image(f"val/{images.name}/{title}", [str(file)])
                # A full disk, a long name or one that is not UTF-8 ends no training.
                except (OSError, UnicodeError) as error:
                    why = getattr(error, "strerror", None) or error
                    log.warning("no picture of %r (%s)", str(path), why)


class RunRecord(pl.Callback):
    """Writes where the run's weights came from (``run.json``), and the weights at its end.

    A resumed run gets a folder of its own; its ``metrics.csv`` begins with the rows of the run
    that it goes on with, up to the checkpoint, so that it holds the whole curve, once.
    """

    def __init__(self) -> None:
        self.record: dict[str, Any] = {}
        self.seconds_before = 0.0
        self.rows_before = self.steps_before = 0
        self.started = time.monotonic()
        self.logger: RunLogger | None = None
        #: ``path`` and ``sha256`` of the weights that this training learns from.
        self.teachers: list[dict[str, str]] = []
        #: The same of the weights that training started from.
        self.start: dict[str, str] | None = None
        #: How this run trains, and how the one did that it goes on with.
        self.recipe: dict[str, Any] = {}
        self.recipe_before: dict[str, Any] = {}
        #: For each resume that changed it: step, and what was and is.
        self.changed: list[dict[str, Any]] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Tell all processes which folder the run has, and see what it starts and learns from."""
        if stage == "fit":
            start = cast(SuperResolution, pl_module).weights_file
            self.start = {"path": str(start), "sha256": sha256(start)} if start else None
            paths = trainer.datamodule.teachers  # type: ignore[attr-defined]
            self.teachers = [{"path": p, "sha256": sha256(find_weights(p))} for p in paths]
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.share(trainer.strategy.broadcast(logger.version))
                self.logger = logger

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    def state_dict(self) -> dict[str, Any]:
        """Carry time, place in the metrics, origin and recipe over to a resumed run."""
        rows = self.logger.experiment.rows if self.logger else 0
        origin = {"teachers": self.teachers, "start": self.start}
        recipe = {"recipe": self.recipe, "changed": self.changed}
        return {"seconds": self._seconds(), "rows": rows, **origin, **recipe}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take time, number of rows, origin and recipe of the run that is resumed.

        Raises:
            UserError: If it learned from other teachers.
        """
        self.seconds_before = float(state_dict["seconds"])
        self.rows_before = int(state_dict.get("rows", 0))
        self.start = state_dict.get("start")
        self.recipe_before = state_dict.get("recipe", {})
        self.changed = list(state_dict.get("changed", []))
        before = [teacher["sha256"] for teacher in state_dict.get("teachers", [])]
        now = [teacher["sha256"] for teacher in self.teachers]
        if before != now:
            raise UserError(
                f"the run that is resumed learned from teachers {[h[:12] for h in before]}, "
                f"data.teachers are {[h[:12] for h in now]}; name the same weights, or start anew"
            )

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take the number of steps of the run that is resumed."""
        self.steps_before = int(checkpoint["global_step"])

    @rank_zero_only
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write what is known before training; a ``fast_dev_run`` leaves nothing."""
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        module = cast(SuperResolution, pl_module)
        net = module.net
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        sets = {name: find_images(name) for name in [*data.train_sets, *data.val_sets]}
        for name, images in sets.items():
            if len(images) < COUNTS.get(name, 0):
                log.warning(
                    "%s has %d of its %d images; 'python data_prep/fetch.py %s' gets the others",
                    *(name, len(images), COUNTS[name], name),
                )
        digests = {name: images.sha256() for name, images in sets.items()}
        loss = getattr(module.criterion, "title", type(module.criterion).__name__)
        averages = [
            [c.decay, c.start] if isinstance(c, MovingAverage) else type(c).__name__
            for c in callbacks
            if isinstance(c, AVERAGING)
        ]
        self.recipe = {name: getattr(data, name) for name in RECIPE} | {
            "train_sets": [f"{Path(name).name} {digests[name][:12]}" for name in data.train_sets],
            "loss": loss,
            "averages": averages,
            "lr": [group["lr"] for group in module.new_optimizer().param_groups],
            "warmup_steps": module.warmup_steps,
            "schedule": module.schedule,
            "gradient_clip_val": trainer.gradient_clip_val,
            "precision": str(trainer.precision),
            "hardware": hardware(),
        }
        if module.schedule == "cosine":  # whose end decides the rate of every step
            self.recipe |= {"final_lr": module.final_lr, "max_epochs": trainer.max_epochs}
            self.recipe |= {"max_steps": trainer.max_steps}
        self.started = time.monotonic()
        self.record = {
            "command": shlex.join(["python", *sys.argv]),
            "git_commit": git_commit(),
            "scale": net.scale,
            "seed": data.seed,
            "loss": loss,
            "parameters": parameters(net),
            "hardware": self.recipe["hardware"],
            "precision": trainer.precision,
            "processes": trainer.world_size,
            "versions": versions(),
            "train_sets": [Path(name).name for name in data.train_sets],
            "data_sha256": digests,
            "images": {name: len(images) for name, images in sets.items()},
            "started_from": self.start,
            "teachers": self.teachers,
            "averaged": bool(averages),
            "left_out": data.skipped,
            "resumed_from": str(trainer.ckpt_path) if trainer.ckpt_path else None,
            "changed": self.changed,
        }
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                # Names the run, so that a resumed training can go on with it.
                self.record["wandb_id"] = logger.experiment.id
                logger.experiment.config.update({"run": self.record}, allow_val_change=True)
        self._write(trainer)
        if self.logger and trainer.ckpt_path:
            before = Path(trainer.ckpt_path).parent.parent / METRICS_NAME
            if before.is_file() and (self.rows_before or self.steps_before):
                self.logger.experiment.begin_with(before, self.rows_before, self.steps_before)

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say, and note in the record, what a resumed run does otherwise than the run before."""
        changes = {
            name: [before, self.recipe[name]]
            for name, before in self.recipe_before.items()
            if name in self.recipe and before != self.recipe[name]
        }
        if changes:
            self.changed = [*self.changed, {"step": trainer.global_step, **changes}]
            self.record["changed"] = self.changed
            listed = (f"{name}={now} (before: {was})" for name, (was, now) in changes.items())
            log.warning("goes on at step %d with %s", trainer.global_step, ", ".join(listed))
            self._write(trainer)

    @rank_zero_only
    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the final (averaged) weights and complete the record."""
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        module = cast(SuperResolution, pl_module)
        file = run_folder(trainer) / FILE_NAME
        save_weights(module.net, file)
        hours = self._seconds() / 3600
        self.record |= {"steps": trainer.global_step, "hours": round(hours, 3)}
        self.record |= {"skipped_steps": module.nonfinite.skipped_steps}
        self.record |= {"weights_sha256": sha256(file)}
        self._write(trainer)
        for what, count in (
            ("training images left out", len(self.record["left_out"])),
            (
                "steps skipped, whose loss or gradient was not finite",
                module.nonfinite.skipped_steps,
            ),
        ):
            if count:
                log.warning("%d %s, see %s", count, what, run_folder(trainer) / RECORD_NAME)

    def _write(self, trainer: pl.Trainer) -> None:
        folder = run_folder(trainer)
        with replacing(folder / RECORD_NAME) as temporary:
            temporary.write_text(json.dumps(self.record, indent=1) + "\n")
