"""How far ``predict`` is: images done, images a second, time left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from fdnn.training.module import SuperResolution


class RateColumn(ProgressColumn):
    """Items a second, averaged over the time so far."""

    def render(self, task: Task) -> Text:
        """Write the speed, or nothing before it is known."""
        seconds = task.finished_time or task.elapsed
        if not seconds or not task.completed:
            return Text()
        return Text(f"{task.completed / seconds:.2f} {task.fields['unit']}/s")


class PredictProgress(ProgressBar):
    """A bar for the files, and below it one for the frames of the file in work.

    The first process shows it, for its own share of the files.
    """

    def __init__(self) -> None:
        super().__init__()
        self.enabled = True
        self.progress: Progress | None = None

    def disable(self) -> None:
        """Show nothing; Lightning calls it in all processes but the first."""
        self.enabled = False

    def enable(self) -> None:
        """Show something again."""
        self.enabled = True

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar."""
        if not self.enabled:
            return
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            RateColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        total = sum(int(n) for n in trainer.num_predict_batches)
        self.files = self.progress.add_task("magnify", total=total, unit="images")
        self.progress.start()
        assert isinstance(pl_module, SuperResolution)
        pl_module.work.track = self.track

    def track(self, items: Iterable[Any], total: int, name: str) -> Iterator[Any]:
        """Show a bar of its own while the frames of a file are iterated over."""
        assert self.progress is not None
        task = self.progress.add_task(name, total=total or None, unit="frames")
        try:
            for item in items:
                yield item
                self.progress.advance(task)
        finally:
            self.progress.remove_task(task)

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count a file."""
        if self.progress is not None:
            self.progress.advance(self.files)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the bar as it stands."""
        self._stop()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Leave the bar as it stands."""
        self._stop()

    def _stop(self) -> None:
        if self.progress is not None:
            self.progress.stop()
