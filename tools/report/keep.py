"""Keep what a report needs of a run: a few kB, without weights.

    python -m tools.report.keep docs/runs/t4_fcnn_s0 --fit logs/fcnn_x3/version_0 --test logs/...

Of the fit stay ``run.json`` and the validations in ``metrics.csv``, of the test of its weights
``benchmark.json``; either may be left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fdnn.evaluation.report import JSON_NAME
from fdnn.files.errors import UserError, one_line
from fdnn.files.home import real
from fdnn.files.provenance import METRICS_NAME, RECORD_NAME
from fdnn.models.weights import FILE_NAME
from tools.report.records import read_run


def keep_record(run: Path, target: Path) -> None:
    """Copy what a report needs of a ``fit``: its record, and of its metrics the validations.

    Args:
        run: Folder of the ``fit``.
        target: Folder to write ``run.json`` and ``metrics.csv`` to.
    """
    target.mkdir(parents=True, exist_ok=True)
    record = json.loads((run / RECORD_NAME).read_text(encoding="utf-8"))
    # Where files lay is nobody's business: their names stay, and why they were left out.
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


def keep(target: Path, fit: Path | None, test: Path | None, overwrite: bool = False) -> None:
    """Copy what a report needs of a fit, and of a test of its weights.

    Args:
        target: Folder to make.
        fit: Folder of a finished fit.
        test: Folder of a test of its weights.
        overwrite: Whether to replace the records that are there.

    Raises:
        UserError: If a folder is not of its kind, the test scored other weights, or the target is
            there and holds more than such records, or may not be replaced.
    """
    if real(target) in {real(source) for source in (fit, test) if source}:
        raise UserError(f"{target} is what shall be kept; choose another folder")
    there = {path.name for path in target.iterdir()} if target.is_dir() else set()
    if strange := sorted(there - {RECORD_NAME, METRICS_NAME, JSON_NAME}):
        raise UserError(f"{target} holds {strange[0]}; choose a folder for records alone")
    if there and not overwrite:
        raise UserError(f"{target} exists; choose another folder, or add --overwrite")
    record = read_run(fit).record if fit else None
    if fit and "steps" not in (record or {}):
        raise UserError(f"{fit}: not the folder of a finished fit")
    scored = read_run(test) if test else None
    if scored and scored.benchmark is None:
        raise UserError(f"{test}: not the folder of a test")
    if scored and record and scored.weights_sha256 != record.get("weights_sha256"):
        raise UserError(f"{test}: these scores are not those of the weights of {fit}")
    for name in there:  # records of several runs make none
        (target / name).unlink()
    if fit:
        keep_record(fit, target)
    if test:
        keep_scores(test, target)


@one_line
def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.report.keep", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("target", type=Path, help="folder to make, such as docs/runs/t4_fcnn_s0")
    parser.add_argument("--fit", type=Path, help="folder of a fit")
    parser.add_argument("--test", type=Path, help="folder of a test of its weights")
    parser.add_argument("--overwrite", action="store_true", help="replace records that exist")
    options = parser.parse_args(args)
    if not (options.fit or options.test):
        parser.error("nothing to keep: give --fit, --test or both")
    keep(options.target, options.fit, options.test, options.overwrite)
    print(f"kept in {options.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
