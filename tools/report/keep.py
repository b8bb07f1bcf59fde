"""Keep what a report needs of a run: a few kB, without weights.

    python -m tools.report.keep docs/runs/t4_fcnn_s0 --fit logs/fcnn_x3/version_0 --test logs/...

Of the fit stay ``run.json`` and the validations in ``metrics.csv``, of the test of its weights
``benchmark.json``; either may be left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fdnn.evaluation.report import JSON_NAME
from fdnn.files.errors import UserError, one_line
from fdnn.files.home import real
from fdnn.files.provenance import METRICS_NAME, RECORD_NAME
from fdnn.training.record import keep_record, keep_scores
from tools.report.records import read_run


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
