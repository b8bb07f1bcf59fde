"""The log folder of a run, which belongs to it alone, and the metrics in it."""

from __future__ import annotations

import csv
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_only

from fdnn.files.atomic import replacing
from fdnn.files.errors import UserError
from fdnn.files.provenance import METRICS_NAME

log = logging.getLogger(__name__)


class MetricsFile(ExperimentWriter):
    """Writes ``metrics.csv``; a full disk loses no row, and does not end a training.

    Rows that cannot be written wait in memory for the next time; the first failure is logged.

    Args:
        log_dir: Folder of the run.
    """

    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir)
        self.file = Path(self.metrics_file_path)
        self.rows = 0
        self.failed = False

    def log_metrics(self, metrics_dict: dict[str, Any], step: int | None = None) -> None:
        """Add a row."""
        super().log_metrics(metrics_dict, step)
        self.rows += 1

    def begin_with(self, before: Path, rows: int, steps: int) -> None:
        """Begin with the rows of the run that this one goes on with.

        Args:
            before: Its ``metrics.csv``.
            rows: Its rows when the checkpoint was written.
            steps: Its optimizer steps then. Lightning logs a step after the callbacks that may
                write a checkpoint of it, so that its row may come next.
        """
        with before.open(newline="", encoding="utf-8", errors="replace") as file:
            known = list(csv.DictReader(file))
        own = [
            row
            for row in known[rows : rows + 1]
            if row.get("step") == str(steps - 1) and row.get("train/loss")
        ]
        earlier = known[:rows] + own
        # Before the own rows, and without the empty cells, as if they were just logged. Cells
        # of a damaged row that no column owns are left out.
        self.metrics[:0] = [{k: v for k, v in row.items() if k and v} for row in earlier]  # type: ignore[misc]
        self.rows += len(earlier)

    def save(self) -> None:
        """Write the rows that wait; see the class for what happens if that fails."""
        if not self.metrics:
            return
        keys = sorted({*self.metrics_keys, *(key for row in self.metrics for key in row)})
        size = self.file.stat().st_size if self.file.exists() else 0
        try:
            if keys == self.metrics_keys:
                with self.file.open("a", newline="", encoding="utf-8") as file:
                    csv.DictWriter(file, keys).writerows(self.metrics)
            else:  # a new column, for the rows that are there as well
                self._write_anew(keys)
        except OSError as error:
            if self.file.exists() and self.file.stat().st_size > size:
                with self.file.open("r+b") as file:
                    file.truncate(size)
            if not self.failed:
                reason = error.strerror or error
                log.warning("%s cannot be written (%s); its rows are kept", self.file, reason)
            self.failed = True
            return
        self.metrics_keys, self.metrics, self.failed = keys, [], False

    def _write_anew(self, keys: list[str]) -> None:
        rows: list[dict[str, Any]] = []
        if self.file.exists():
            with self.file.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
        with (
            replacing(self.file) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, keys)
            writer.writeheader()
            writer.writerows(rows + self.metrics)


def _is_first() -> bool:
    return bool(getattr(rank_zero_only, "rank", 0) == 0)


class RunLogger(CSVLogger):
    """Lightning's CSV logger, with a folder ``version_N`` that no other run can get.

    The folder is made when it is first needed, by the first process; the others learn its
    number by :meth:`share`.
    """

    @property
    def version(self) -> int | str:
        """N. On the first process the folder exists, and nobody else had made it."""
        if self._version is None and _is_first():
            self._version = self._claim()
        return super().version

    def _claim(self) -> int:
        root, number = Path(self.root_dir), self._get_next_version()
        try:
            root.mkdir(parents=True, exist_ok=True)
            while True:
                try:
                    (root / f"version_{number}").mkdir()
                except FileExistsError:
                    number += 1
                else:
                    return number
        except OSError as error:
            raise UserError(
                f"no log folder can be made in {root} ({error.strerror}); choose another "
                "--trainer.default_root_dir"
            ) from None

    def share(self, number: int | str) -> None:
        """Take the number that the first process got."""
        self._version = number

    @property
    @rank_zero_experiment
    def experiment(self) -> MetricsFile:
        """The metrics of this run."""
        if self._experiment is None:
            self._experiment = MetricsFile(self.log_dir)
        assert isinstance(self._experiment, MetricsFile)
        return self._experiment

    def finalize(self, status: str) -> None:
        """Write what waits; leave no empty folder.

        Raises:
            UserError: If rows of a run that ended well could not be written.
        """
        super().finalize(status)
        if self._version is not None and _is_first():
            with suppress(OSError):  # works for an empty one: the run did not come to a start
                Path(self.log_dir).rmdir()
        if self._experiment is not None and self._experiment.metrics and status == "success":
            raise UserError(
                f"{len(self._experiment.metrics)} rows of {self.log_dir}/{METRICS_NAME} could not "
                "be written; make room"
            )
