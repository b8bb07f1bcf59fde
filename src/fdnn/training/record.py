"""What is kept of a run: a few kB of its record, validations and scores."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

from fdnn.evaluation.report import JSON_NAME
from fdnn.files.provenance import METRICS_NAME, RECORD_NAME
from fdnn.models.weights import FILE_NAME


def keep_record(run: Path, target: Path) -> None:
    """Copy what a report needs of a ``fit``: its record, and of its metrics the validations.

    Args:
        run: Folder of the ``fit``.
        target: Folder to write ``run.json`` and ``metrics.csv`` to.
    """
    target.mkdir(parents=True, exist_ok=True)
    record = json.loads((run / RECORD_NAME).read_text(encoding="utf-8"))
    # Of files only the names stay, and why they were left out.
    parts = [text.partition(": ") for text in record.get("left_out", [])]
    record["left_out"] = [f"{Path(path).name}: {reason}" for path, _, reason in parts]
    for sets in {"data_sha256", "images"} & record.keys():
        times = Counter(Path(name).name for name in record[sets])
        record[sets] = {
            path.name if times[path.name] == 1 else f"{path.parent.name}/{path.name}": value
            for path, value in ((Path(name), value) for name, value in record[sets].items())
        }
    for source in [record.get("started_from"), *record.get("teachers", [])]:
        if source:
            source["path"] = "/".join(Path(source["path"]).parts[-2:])
    if record.get("resumed_from"):
        record["resumed_from"] = "/".join(Path(record["resumed_from"]).parts[-3:])
    (target / RECORD_NAME).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if not (run / METRICS_NAME).is_file():
        return
    with (run / METRICS_NAME).open(newline="", encoding="utf-8") as source:
        rows = csv.DictReader(source)
        names = [n for n in rows.fieldnames or [] if n in ("epoch", "step") or n.startswith("val/")]
        validations = [row for row in rows if any(row[n] for n in names if n.startswith("val/"))]
    with (target / METRICS_NAME).open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(validations)


def keep_scores(test: Path, target: Path) -> None:
    """Copy the scores of a ``test``.

    Args:
        test: Folder of the ``test``.
        target: Folder to write ``benchmark.json`` to.
    """
    target.mkdir(parents=True, exist_ok=True)
    benchmark = json.loads((test / JSON_NAME).read_text(encoding="utf-8"))
    if benchmark["weights"]:
        benchmark["weights"]["path"] = FILE_NAME
    (target / JSON_NAME).write_text(json.dumps(benchmark, indent=1) + "\n", encoding="utf-8")
