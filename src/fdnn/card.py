"""Publish the weights of a run: the file, the config that made it, its scores, and a card.

    python -m fdnn.card logs/fdnn_fast_x3/version_0 logs/fdnn_x3/version_0 checkpoints/fdnn_x3

The first folder is that of a ``fit``, the second that of a ``test`` of its weights.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fdnn.errors import UserError, one_line
from fdnn.files.digest import sha256
from fdnn.provenance import RECORD_NAME
from fdnn.published import TABLE_3
from fdnn.report import JSON_NAME
from fdnn.results.keep import keep_record, keep_scores
from fdnn.weights import FILE_NAME

CONFIG_NAME = "config.yaml"


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    return content


def text(
    name: str, record: dict[str, Any], benchmark: dict[str, Any], command: str, departures: str
) -> str:
    """Write the card.

    Args:
        name: Of the weights.
        record: ``run.json`` of the run that made them.
        benchmark: ``benchmark.json`` of their test.
        command: What prints these scores.
        departures: What departs from the paper, as a Markdown list.

    Returns:
        Markdown.
    """
    scale = benchmark["scale"]
    lines = [
        f"# {name}",
        "",
        f"{benchmark['model']} at x{scale}, {record['parameters']:,} parameters. The weights are "
        f"{'the averaged ones' if record.get('averaged') else 'those'} at the end of the run, "
        "not chosen by a score.",
        "",
        "| set | images | PSNR dB | SSIM | paper's FDNN | paper's Bicubic |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    roles = {Path(given).name: "validation" for given in record["data_sha256"]}
    roles |= dict.fromkeys(record.get("train_sets", []), "trained on")
    for set_name, scores in benchmark["sets"].items():
        printed = [TABLE_3[method].get(set_name, {}).get(scale) for method in ("FDNN", "Bicubic")]
        cells = [f"{p[0]:.2f} / {p[1]:.4f}" if p else "not in the paper" for p in printed]
        label = f"{set_name} ({roles[set_name]})" if set_name in roles else set_name
        # JSON has no infinity, see report.py.
        psnr = "inf" if scores["psnr"] is None else f"{scores['psnr']:.3f}"
        lines.append(
            f"| {label} | {len(scores['images'])} | {psnr} | {scores['ssim']:.4f} "
            f"| {cells[0]} | {cells[1]} |"
        )
    start = record.get("started_from")
    teachers = [teacher["sha256"] for teacher in record.get("teachers", [])]
    facts = {
        "Trained by": f"`{record['command']}`",
        **({"Started from": f"weights of SHA-256 `{start['sha256']}`"} if start else {}),
        **({"Teachers": ", ".join(f"`{digest}`" for digest in teachers)} if teachers else {}),
        "Commit": record["git_commit"],
        "Seed": record["seed"],
        **({"Loss": record["loss"]} if "loss" in record else {}),
        "Steps": f"{record['steps']:,}",
        "Hours": record["hours"],
        "Hardware": record["hardware"],
        "Precision": record["precision"],
        "PyTorch": record["versions"]["torch"],
        **{
            f"{set_name} ({record['images'][set_name]} images)": f"SHA-256 `{digest}`"
            for set_name, digest in record["data_sha256"].items()
        },
        "Weights": f"SHA-256 `{record['weights_sha256']}`",
    }
    lines += ["", f"Scores as `{command}` prints them;"]
    lines += [f"the protocol is in `{JSON_NAME}` beside this card.", ""]
    lines += ["| | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in facts.items())]
    return "\n".join([*lines, "", "Departures from the paper:", "", departures.strip(), ""])


def publish(run: Path, test: Path, target: Path, departures: str) -> None:
    """Copy weights, config and scores to a folder and write the card.

    Args:
        run: Folder of a ``fit``.
        test: Folder of a ``test`` of its weights.
        target: Folder to make, such as ``checkpoints/fdnn_x3``.
        departures: See :func:`text`.

    Raises:
        UserError: If something is missing, or the scores are those of other weights.
    """
    record, benchmark = _read(run / RECORD_NAME), _read(test / JSON_NAME)
    weights = run / FILE_NAME
    if not weights.is_file() or "steps" not in record:
        raise UserError(f"{run}: not the folder of a finished fit")
    scored = (benchmark["weights"] or {}).get("sha256")
    if not scored == record["weights_sha256"] == sha256(weights):
        raise UserError(f"{test}: these scores are not those of {weights}")
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(weights, target / FILE_NAME)
    shutil.copyfile(run / CONFIG_NAME, target / CONFIG_NAME)
    keep_record(run, target)
    keep_scores(test, target)
    command = f"python src/train.py test --config configs/{target.name}.yaml"
    card = text(target.name, record, benchmark, command, departures)
    (target / "README.md").write_text(card, encoding="utf-8")


@one_line
def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("run", type=Path, help="folder of a fit")
    parser.add_argument("test", type=Path, help="folder of a test of its weights")
    parser.add_argument("target", type=Path, help="folder to make, such as checkpoints/fdnn_x3")
    parser.add_argument("--departures", type=Path, help="Markdown list of departures (default: -)")
    options = parser.parse_args(args)
    departures = options.departures.read_text() if options.departures else sys.stdin.read()
    publish(options.run, options.test, options.target, departures)
    print(f"published to {options.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
