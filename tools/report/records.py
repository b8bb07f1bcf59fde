"""What the folders of tests, fits and benchmarks say."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fdnn.evaluation.published import Score
from fdnn.evaluation.report import JSON_NAME
from fdnn.files.errors import UserError
from fdnn.files.provenance import METRICS_NAME, RECORD_NAME, SPEED_NAME

#: Sets of the paper's tables, in their order.
SETS = ("Set5", "Set14", "B100")


@dataclass
class Run:
    """What a folder says.

    Attributes:
        folder: Where it lies.
        benchmark: ``benchmark.json`` of a ``test``, if there is one.
        record: ``run.json`` of a ``fit``, if there is one.
        curve: After each validation: optimizer step, then PSNR in dB by set.
        speed: ``speed.json`` of :mod:`tools.benchmark.zoo`, if there is one.
    """

    folder: Path
    benchmark: dict[str, Any] | None = None
    record: dict[str, Any] | None = None
    curve: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    speed: dict[str, Any] | None = None

    @property
    def scale(self) -> int:
        """Magnification, as the files say; 0 if none does (records of old runs)."""
        found: int = {"scale": 0, **(self.record or {}), **(self.benchmark or {})}["scale"]
        return found

    @property
    def label(self) -> str:
        """Name the run as its folder; ``logs/NAME/version_N`` is NAME."""
        name, above = self.folder.name, self.folder.parent.name
        if name.startswith("version_"):
            return above
        return name

    @property
    def model(self) -> str:
        """What was tested, as its tables call it; empty without a test."""
        name: str = (self.benchmark or {}).get("model", "")
        return name

    @property
    def weights_sha256(self) -> str | None:
        """The weights that were tested."""
        weights = (self.benchmark or {}).get("weights") or {}
        found: str | None = weights.get("sha256")
        return found

    def score(self, set_name: str) -> Score | None:
        """Look up the mean PSNR and SSIM of a set, if it was tested."""
        scores = (self.benchmark or {}).get("sets", {}).get(set_name)
        return _score(scores) if scores else None

    def image_score(self, set_name: str, image: str) -> Score | None:
        """Look up PSNR and SSIM of an image, if it was tested."""
        scores = (self.benchmark or {}).get("sets", {}).get(set_name, {}).get("images", {})
        found = scores.get(image)
        return _score(found) if found else None


def _score(scores: dict[str, Any]) -> Score:
    # JSON has no infinity, see report.py.
    return (math.inf if scores["psnr"] is None else scores["psnr"], scores["ssim"])


def read_run(folder: Path) -> Run:
    """Read what a folder says.

    Raises:
        UserError: If the folder holds none of the files, one of them is damaged, or scores and
            record are of different weights.
    """
    run = Run(folder.resolve())
    try:
        run.benchmark = _read(folder / JSON_NAME)
        run.record = _read(folder / RECORD_NAME)
        run.speed = _read(folder / SPEED_NAME)
        if (folder / METRICS_NAME).is_file():
            run.curve = validation_curve(folder / METRICS_NAME)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder}: cannot be read ({error})") from None
    if run.benchmark is None and run.record is None and run.speed is None:
        raise UserError(f"{folder}: holds neither {JSON_NAME}, {RECORD_NAME} nor {SPEED_NAME}")
    made = (run.record or {}).get("weights_sha256")
    if run.weights_sha256 and made and run.weights_sha256 != made:
        raise UserError(
            f"{folder}: {JSON_NAME} scores weights {run.weights_sha256[:12]}, the fit of "
            f"{RECORD_NAME} made {made[:12]}"
        )
    return run


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds no JSON object")
    return content


def validation_curve(metrics: Path) -> list[tuple[int, dict[str, float]]]:
    """Read the validations of a ``fit`` from its ``metrics.csv``.

    Returns:
        (optimizer step, PSNR in dB by set), in order; the last of each step.
    """
    points: dict[int, dict[str, float]] = {}
    with metrics.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            scores = {
                key.split("/")[1]: float(value)
                for key, value in row.items()
                if key and key.startswith("val/") and key.endswith("/psnr") and value
            }
            if scores:
                points[int(row["step"])] = scores
    return sorted(points.items())


def fit_of(test: Run, runs: Sequence[Run]) -> dict[str, Any]:
    """Find the record of the fit that made the weights of a test.

    Args:
        test: Has it in its own folder, or is of weights that another folder's fit made.
        runs: All that is known.

    Returns:
        ``run.json`` of that fit; empty if it is not among the runs.
    """
    if test.record:
        return test.record
    for run in runs:
        if run.record and test.weights_sha256 == run.record.get("weights_sha256", ""):
            return run.record
    return {}
