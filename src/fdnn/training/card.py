"""Publish the weights of a run: the file, the config that made it, its scores, and a card.

    python -m fdnn.training.card logs/x3/version_0 logs/fdnn_x3/version_0 checkpoints/fdnn_x3

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

from fdnn.evaluation.published import TABLE_3, method
from fdnn.evaluation.report import JSON_NAME
from fdnn.files.atomic import replacing
from fdnn.files.digest import sha256
from fdnn.files.errors import UserError, one_line
from fdnn.files.home import real
from fdnn.files.provenance import CONFIG_NAME, RECORD_NAME
from fdnn.models.weights import FILE_NAME
from fdnn.training.record import keep_record, keep_scores

PAGE_NAME = "README.md"

#: What cards have scores of, as records name it.
ENGINE = "eager, fp32"


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    return content


def _scores(
    benchmark: dict[str, Any], methods: Sequence[str], command: str | None, record: dict[str, Any]
) -> list[str]:
    """Lay out the table of scores, and say where they are from."""
    if not benchmark["sets"]:
        return ["Not scored: there was no image to validate with.", ""]
    scale = benchmark["scale"]
    roles = {Path(given).name: "validation" for given in record["data_sha256"]}
    roles |= dict.fromkeys(record.get("train_sets", []), "trained on")
    columns = ["set", "images", "PSNR dB", "SSIM", *(f"paper's {method}" for method in methods)]
    lines = [f"| {' | '.join(columns)} |", f"| {' | '.join('---' for _ in columns)} |"]
    for set_name, scores in benchmark["sets"].items():
        printed = [TABLE_3.get(method, {}).get(set_name, {}).get(scale) for method in methods]
        cells = [f"{p[0]:.2f} / {p[1]:.4f}" if p else "not in the paper" for p in printed]
        # Scores of a part, or of other images, say so behind the set's name.
        role = roles.get(set_name.partition(", ")[0])
        label = f"{set_name} ({role})" if role else set_name
        # JSON has no infinity, see report.py.
        psnr = "inf" if scores["psnr"] is None else f"{scores['psnr']:.3f}"
        row = [label, str(len(scores["images"])), psnr, f"{scores['ssim']:.4f}", *cells]
        lines.append(f"| {' | '.join(row)} |")
    lines += ["", f"Scores as `{command}` prints them;"] if command else ["", "Of the scores,"]
    lines += [f"the protocol is in `{JSON_NAME}` beside this card.", ""]
    return lines


def page(
    name: str,
    about: str,
    benchmark: dict[str, Any],
    methods: Sequence[str],
    command: str | None,
    record: dict[str, Any],
    facts: dict[str, Any],
    departures: str,
) -> str:
    """Lay out a card.

    Args:
        name: Of the weights.
        about: A sentence or two.
        benchmark: ``benchmark.json`` of their test.
        methods: Rows of the paper's Table 3 to show beside the scores.
        command: What prints these scores, if there is a config for it.
        record: ``run.json`` of what made them.
        facts: What to say of that, other than data and weights.
        departures: A heading, and a Markdown list.

    Returns:
        Markdown.
    """
    lines = [f"# {name}", "", about, "", *_scores(benchmark, methods, command, record)]
    facts = facts | {
        f"{set_name} ({record['images'][set_name]} images)": f"SHA-256 `{digest}`"
        for set_name, digest in record["data_sha256"].items()
    }
    facts["Weights"] = f"SHA-256 `{record['weights_sha256']}`"
    lines += ["| | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in facts.items())]
    return "\n".join([*lines, "", departures.strip(), ""])


def _changes(change: dict[str, Any]) -> str:
    """Spell what a resumed run changed."""
    return "; ".join(f"{k}: {v[0]}, then {v[1]}" for k, v in change.items() if k != "step")


def text(
    name: str, record: dict[str, Any], benchmark: dict[str, Any], command: str, departures: str
) -> str:
    """Write the card of a ``fit``.

    Args:
        name: Of the weights.
        record: ``run.json`` of the run that made them.
        benchmark: ``benchmark.json`` of their test.
        command: What prints these scores.
        departures: What departs from the paper, as a Markdown list.

    Returns:
        Markdown.
    """
    about = (
        f"{benchmark['model']} at x{benchmark['scale']}, {record['parameters']:,} parameters. The "
        f"weights are {'the averaged ones' if record.get('averaged') else 'those'} at the end of "
        "the run, not chosen by a score."
    )
    start = record.get("started_from")
    teachers = [teacher["sha256"] for teacher in record.get("teachers", [])]
    facts = {
        "Trained by": f"`{record['command']}`",
        **({"Started from": f"weights of SHA-256 `{start['sha256']}`"} if start else {}),
        **({"Teachers": ", ".join(f"`{digest}`" for digest in teachers)} if teachers else {}),
        "Commit": record["git_commit"],
        "Seed": record["seed"],
        **{
            f"Changed at step {change['step']:,}": _changes(change)
            for change in record.get("changed", [])
        },
        **({"Loss": record["loss"]} if "loss" in record else {}),
        "Steps": f"{record['steps']:,}",
        "Hours": record["hours"],
        "Hardware": record["hardware"],
        "Precision": record["precision"],
        "PyTorch": record["versions"]["torch"],
    }
    departures = f"Departures from the paper:\n\n{departures}"
    own = [name for name in (method(benchmark["model"]),) if name in TABLE_3 and name != "FDNN"]
    methods = [*own, "FDNN", "Bicubic"]
    return page(name, about, benchmark, methods, command, record, facts, departures)


def check_free(folder: Path, overwrite: bool) -> None:
    """Find out whether weights and card may be written to a folder.

    Raises:
        UserError: If a file would be replaced that may not be.
    """
    for name in (FILE_NAME, CONFIG_NAME, RECORD_NAME, JSON_NAME, PAGE_NAME):
        if (folder / name).exists() and not overwrite:
            raise UserError(f"{folder / name} exists; choose another folder, or add --overwrite")


def publish(
    run: Path,
    test: Path,
    target: Path,
    departures: str,
    config: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Copy weights, config and scores to a folder and write the card.

    Args:
        run: Folder of a ``fit``.
        test: Folder of a ``test`` of its weights.
        target: Folder to make, such as ``checkpoints/fdnn_x3``.
        departures: See :func:`text`.
        config: What tests these weights with ``--ckpt_path``; default: that of the target's name.
        overwrite: Whether to replace what is there.

    Raises:
        UserError: If something is missing, the scores are those of other weights or of an engine
            that rounds, there is no such config, or a file would be replaced.
    """
    check_free(target, overwrite)
    if real(target) in {real(run), real(test)}:
        raise UserError(f"{target} is the run itself; choose another folder")
    record, benchmark = _read(run / RECORD_NAME), _read(test / JSON_NAME)
    weights = run / FILE_NAME
    if not weights.is_file() or not (run / CONFIG_NAME).is_file() or "steps" not in record:
        raise UserError(f"{run}: not the folder of a finished fit")
    scored = (benchmark["weights"] or {}).get("sha256")
    if not scored == record["weights_sha256"] == sha256(weights):
        raise UserError(f"{test}: these scores are not those of {weights}")
    if benchmark["engine"] != ENGINE:
        raise UserError(f"{test}: scores of {benchmark['engine']}; a card has those of {ENGINE}")
    named = config or Path("configs", f"{target.name}.yaml")
    if not named.is_file():
        raise UserError(f"{named}: no such config to test these weights with; name one (--config)")
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(weights, target / FILE_NAME)
    shutil.copyfile(run / CONFIG_NAME, target / CONFIG_NAME)
    keep_record(run, target)
    keep_scores(test, target)
    words = [f"--config {named}"]
    if config is not None:
        words.append(f"--ckpt_path {target}")
    if benchmark["model"].endswith("+ self-ensemble"):
        words.append("--model.self_ensemble true")
    command = " ".join(["python src/train.py test", *words])
    card = text(target.name, record, benchmark, command, departures)
    with replacing(target / PAGE_NAME) as temporary:
        temporary.write_text(card, encoding="utf-8", errors="surrogateescape")


@one_line
def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("run", type=Path, help="folder of a fit")
    parser.add_argument("test", type=Path, help="folder of a test of its weights")
    parser.add_argument("target", type=Path, help="folder to make, such as checkpoints/fdnn_x3")
    parser.add_argument("--departures", type=Path, help="Markdown list of departures (default: -)")
    parser.add_argument(
        "--config", type=Path, help="what tests them, unless it is configs/TARGET.yaml"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    options = parser.parse_args(args)
    check_free(options.target, options.overwrite)  # before departures are waited for
    try:
        file: Path | None = options.departures
        departures = file.read_text(encoding="utf-8") if file else sys.stdin.read()
    except UnicodeDecodeError as error:
        raise UserError(f"{options.departures or 'departures'}: not UTF-8 ({error})") from None
    source = options.run, options.test
    publish(*source, options.target, departures, options.config, options.overwrite)
    print(f"published to {options.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
