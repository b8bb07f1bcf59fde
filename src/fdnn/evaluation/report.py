"""Scores as JSON, CSV and tables, with the paper's figures beside them."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fdnn.evaluation.metrics import PROTOCOL, SetScores
from fdnn.evaluation.originals import OTHER
from fdnn.evaluation.published import TABLE_2, TABLE_3, method
from fdnn.files.atomic import replacing
from fdnn.files.provenance import versions

JSON_NAME = "benchmark.json"
CSV_NAME = "benchmark.csv"


def _finite(value: float) -> float | None:
    """JSON has no infinity; the PSNR of identical images becomes null."""
    return value if math.isfinite(value) else None


def as_json(
    model: str,
    scale: int,
    results: Mapping[str, SetScores],
    weights: Mapping[str, str] | None,
    engine: str,
) -> dict[str, Any]:
    """Collect everything that is needed to trust or repeat a benchmark.

    Args:
        model: What tables call the network, see ``SuperResolution.title``.
        scale: Magnification.
        results: Scores by set name.
        weights: ``path`` and ``sha256`` of the weight file, or None without one.
        engine: What ran the network, see ``SuperResolution.engine_title``.
    """
    sets = {}
    for name, scores in results.items():
        titles = scores.images.titles()
        sets[name] = {
            "psnr": _finite(scores.psnr),
            "ssim": scores.ssim,
            "dataset_sha256": scores.images.sha256(),
            "images": {
                title: {"psnr": _finite(p), "ssim": s}
                for title, (p, s) in zip(titles, scores.per_image, strict=True)
            },
        }
    return {
        "model": model,
        "scale": scale,
        "weights": dict(weights) if weights else None,
        "engine": engine,
        "protocol": {**PROTOCOL, "scale": scale},
        "versions": versions(),
        "sets": sets,
    }


def write(folder: Path, benchmark: Mapping[str, Any]) -> Path:
    """Write ``benchmark.json`` and ``benchmark.csv``; returns the path of the first."""
    path = folder / JSON_NAME
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(benchmark, indent=1) + "\n", encoding="utf-8")
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerow(["model", "scale", "set", "image", "psnr", "ssim"])
    head = [benchmark["model"], benchmark["scale"]]
    for name, scores in benchmark["sets"].items():
        for title, image in scores["images"].items():
            writer.writerow([*head, name, title, image["psnr"], image["ssim"]])
        writer.writerow([*head, name, "MEAN", scores["psnr"], scores["ssim"]])
    with replacing(folder / CSV_NAME) as temporary:
        # A file's name may hold bytes that are not UTF-8.
        temporary.write_text(rows.getvalue(), encoding="utf-8", errors="surrogateescape")
    return path


def _row(table: Table, label: str, score: tuple[float, float], ours: tuple[float, float]) -> None:
    table.add_row(
        escape(label),
        f"{score[0]:.2f}",
        f"{score[1]:.4f}",
        f"{ours[0] - score[0]:+.2f}",
        f"{ours[1] - score[1]:+.4f}",
    )


def show(
    model: str,
    scale: int,
    results: Mapping[str, SetScores],
    references: Mapping[str, Mapping[str, SetScores]] | None = None,
    per_image: bool = False,
    console: Console | None = None,
) -> None:
    """Print one table per set: our scores, then others' with our gain over them.

    Args:
        model: What tables call the network, see ``SuperResolution.title``.
        scale: Magnification.
        results: Our scores by set name.
        references: Scores measured here of other networks, by label and set name.
        per_image: Also print a row for each image.
        console: Where to; default the terminal.
    """
    console = console or Console()
    for name, scores in results.items():
        table = Table(
            title=escape(f"{name} x{scale}, {len(scores.per_image)} images"), title_justify="left"
        )
        table.add_column("", overflow="fold")
        for column in ("PSNR dB", "SSIM", "PSNR gain", "SSIM gain"):
            table.add_column(column, justify="right")
        ours = (scores.psnr, scores.ssim)
        table.add_row(
            escape(f"{model}, measured"), f"{ours[0]:.3f}", f"{ours[1]:.4f}", "", "", style="bold"
        )
        for label, others in (references or {}).items():
            _row(table, f"{label}, measured", (others[name].psnr, others[name].ssim), ours)
        for published in dict.fromkeys([method(model), "FDNN", "Bicubic"]):
            printed = TABLE_3.get(published, {}).get(name, {}).get(scale)
            if printed:
                _row(table, f"{published}, paper's Table 3", printed, ours)
        if per_image:
            table.add_section()
            for title, score in zip(scores.images.titles(), scores.per_image, strict=True):
                table.add_row(escape(title), f"{score[0]:.3f}", f"{score[1]:.4f}", "", "")
                printed = TABLE_2.get(title, {}).get(method(model))
                if printed and name == "Set5" and scale == 3:
                    _row(table, f"  {method(model)}, paper's Table 2", printed, score)
        console.print(table)
        if name.endswith(OTHER):
            own = name.removesuffix(OTHER)
            console.print(
                f"These are not the images that published scores of {own} are of, pixel for pixel: "
                f"no figure of the paper stands beside them. 'python data_prep/fetch.py {own}' "
                "gets those.",
                highlight=False,
            )
