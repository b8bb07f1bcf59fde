"""The report: what was measured, beside what the paper prints, as one Markdown page.

    python src/train.py report checkpoints/* docs/runs/* --output docs/results.md

A folder given may be that of a ``test`` (``benchmark.json``), of a ``fit`` (``run.json`` and
``metrics.csv``) or of published weights (all of them). The page holds what can be said from
these files; learning curves need the extra ``report``, pictures the weights and the images.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from fdnn.errors import UserError
from fdnn.pictures import comparison
from fdnn.published import TABLE_2, TABLE_3, Score, best, method
from fdnn.report import JSON_NAME
from fdnn.sets import find_set
from fdnn.weights import FILE_NAME, load

RECORD_NAME = "run.json"
METRICS_NAME = "metrics.csv"

#: The paper's pictures: figure -> set, title of the image here, scale, crop (left, top, side).
#: The images of Set14 and B100 are numbered here; the names are the paper's.
FIGURES: dict[str, tuple[str, str, str, int, tuple[int, int, int]]] = {
    "Fig. 4": ("baby", "Set5", "baby", 3, (125, 160, 80)),
    "Fig. 5": ("baboon", "Set14", "img_001", 3, (290, 0, 80)),
    "Fig. 6": ("lenna", "Set14", "img_009", 4, (245, 225, 80)),
    "Fig. 7": ("148026", "B100", "img_021_SRF_3_HR", 4, (70, 130, 80)),
}


@dataclass
class Run:
    """What a folder says.

    Attributes:
        folder: Where it lies.
        benchmark: ``benchmark.json``, if there is one.
        record: ``run.json``, if there is one.
        curve: After each validation: optimizer step, then PSNR in dB by set.
    """

    folder: Path
    benchmark: dict[str, Any] | None = None
    record: dict[str, Any] | None = None
    curve: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    @property
    def scale(self) -> int:
        """Magnification, as the files say; 0 if none does (records of old runs)."""
        found: int = {"scale": 0, **(self.record or {}), **(self.benchmark or {})}["scale"]
        return found

    @property
    def label(self) -> str:
        """Name the run as its folder; for ``logs/NAME/version_N`` that is the one above."""
        nested = self.folder.name.startswith("version_")
        return self.folder.parent.name if nested else self.folder.name


def read_run(folder: Path) -> Run:
    """Read what a folder says.

    Raises:
        UserError: If the folder holds none of the files, or one of them is damaged.
    """
    run = Run(folder.resolve())
    try:
        if (folder / JSON_NAME).is_file():
            run.benchmark = json.loads((folder / JSON_NAME).read_text(encoding="utf-8"))
        if (folder / RECORD_NAME).is_file():
            run.record = json.loads((folder / RECORD_NAME).read_text(encoding="utf-8"))
        if (folder / METRICS_NAME).is_file():
            run.curve = validation_curve(folder / METRICS_NAME)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: cannot be read ({error})") from None
    if run.benchmark is None and run.record is None:
        raise UserError(f"{folder}: holds neither {JSON_NAME} nor {RECORD_NAME}")
    return run


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
                if key.startswith("val/") and key.endswith("/psnr") and value
            }
            if scores:
                points[int(row["step"])] = scores
    return sorted(points.items())


def keep_record(run: Path, target: Path) -> None:
    """Copy what a report needs of a ``fit``: its record, and of its metrics the validations.

    Args:
        run: Folder of the ``fit``.
        target: Folder to write ``run.json`` and ``metrics.csv`` to.
    """
    target.mkdir(parents=True, exist_ok=True)
    record = json.loads((run / RECORD_NAME).read_text(encoding="utf-8"))
    # Of files that were left out, name and reason: where they lay is nobody's business.
    parts = [text.partition(": ") for text in record.get("left_out", [])]
    record["left_out"] = [f"{Path(path).name}: {reason}" for path, _, reason in parts]
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


# ---- tables --------------------------------------------------------------------------


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(score: Score) -> str:
    return f"{score[0]:.2f} / {score[1]:.4f}"


def _difference(ours: Score, theirs: Score) -> str:
    return f"{ours[0] - theirs[0]:+.2f} / {ours[1] - theirs[1]:+.4f}"


def table_3(runs: Sequence[Run]) -> str:
    """Put our means beside those of the paper's Table 3, one row for each set and scale."""
    rows = []
    tested = [run for run in runs if run.benchmark]
    for run in sorted(tested, key=lambda r: (r.benchmark or {})["scale"]):
        benchmark = run.benchmark or {}
        scale, model = benchmark["scale"], benchmark["model"]
        for name, scores in benchmark["sets"].items():
            ours = (scores["psnr"], scores["ssim"])
            cells = [f"{ours[0]:.3f} / {ours[1]:.4f}"]
            printed = TABLE_3.get(method(model), {}).get(name, {}).get(scale)
            cells += [_cell(printed), _difference(ours, printed)] if printed else ["", ""]
            highest = best(name, scale) if model != "Bicubic" else None
            cells.append(_difference(ours, highest) if highest else "")
            label = name + (" (validation)" if name == "Set5" and model != "Bicubic" else "")
            rows.append([f"x{scale}", run.label, label, *cells])
    head = ["scale", "weights", "set", "measured here", "paper", "difference"]
    head.append("to the best in Table 3")
    return table(head, rows)


def table_2(runs: Sequence[Run]) -> str:
    """Put each image of Set5 at x3 beside the paper's Table 2."""
    tested = [r for r in runs if r.benchmark and r.benchmark["scale"] == 3]
    tested = [r for r in tested if "Set5" in (r.benchmark or {})["sets"]]
    rows = []
    for title, printed in TABLE_2.items():
        for run in tested:
            benchmark = run.benchmark or {}
            paper = printed.get(method(benchmark["model"]))
            score = benchmark["sets"]["Set5"]["images"].get(title)
            if paper and score:
                ours = (score["psnr"], score["ssim"])
                cells = [_cell(ours), _cell(paper), _difference(ours, paper)]
                rows.append([title, run.label, *cells])
    return table(["image", "weights", "measured here", "paper", "difference"], rows)


def run_table(runs: Sequence[Run]) -> str:
    """List every training: its length, its cost, where its last validation stood."""
    rows = []
    for run in runs:
        record = run.record
        if not record or "steps" not in record:
            continue
        last = run.curve[-1][1] if run.curve else {}
        scores = ", ".join(f"{name} {psnr:.3f}" for name, psnr in last.items())
        minutes = f"{60 * record['hours']:.1f}"
        command = record["command"].replace("python src/train.py ", "").replace("|", "\\|")
        rows.append([run.label, f"{record['steps']:,}", minutes, scores, f"`{command}`"])
    return table(["run", "steps", "minutes", "PSNR at the end", "`python src/train.py ...`"], rows)


# ---- pictures ------------------------------------------------------------------------


def draw_curves(runs: Sequence[Run], path: Path) -> None:
    """Draw validation PSNR over optimizer steps: a panel for each scale, a line for each run.

    Raises:
        UserError: If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError(
            "learning curves need matplotlib: pip install -e .[report], or use --no-curves"
        ) from None
    scales = sorted({run.scale for run in runs})
    figure = Figure(figsize=(8, 3.5 * len(scales)), layout="constrained")
    panels = figure.subplots(len(scales), squeeze=False)[:, 0]
    for scale, axes in zip(scales, panels, strict=True):
        for run in (run for run in runs if run.scale == scale):
            steps = [step for step, _ in run.curve]
            for name in run.curve[0][1]:
                psnr = [scores[name] for _, scores in run.curve]
                axes.plot(steps, psnr, ".-", label=f"{run.label}, {name}")
        axes.set(title=f"x{scale}", ylabel="PSNR in dB, averaged weights")
        axes.legend(fontsize=7)
        axes.grid(alpha=0.3)
    panels[-1].set_xlabel("optimizer steps")
    figure.savefig(path, dpi=110)


def draw_figures(weights: Mapping[int, Path], folder: Path) -> list[tuple[str, str, Path]]:
    """Remake the paper's Figs. 4-7 from weights.

    Args:
        weights: Scale -> folder of weights; figures of other scales are left out.
        folder: Where the pictures go.

    Returns:
        (figure, caption, file) of each.

    Raises:
        UserError: If the images or weights cannot be read.
    """
    made = []
    for figure, (title, set_name, image, scale, box) in FIGURES.items():
        if scale not in weights:
            continue
        images = find_set(set_name)
        path = images.paths[images.titles().index(image)]
        net = load(weights[scale])
        file = folder / f"{title}_x{scale}.png"
        picture = comparison(path, {net.title: net}, scale, box, f"{title} x{scale}")
        Image.fromarray(picture).quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
        made.append((figure, f"{title} ({set_name}), x{scale}", file))
    return made


# ---- the page ------------------------------------------------------------------------


def page(
    runs: Sequence[Run],
    command: str,
    curves: str | None = None,
    pictures: Sequence[tuple[str, str, str]] = (),
) -> str:
    """Write the report.

    Args:
        runs: What was measured.
        command: What made this page.
        curves: Link to the learning curves.
        pictures: (figure, caption, link) of the paper's pictures.

    Returns:
        Markdown.
    """
    parts = [
        "# Results",
        f"Made by `{command}` from the files that `test` and `fit` leave. Scores are mean PSNR in "
        "dB and mean SSIM over images, of the luma, under the protocol of "
        "`src/fdnn/metrics.py`. Set5 is the validation set: its scores were watched while "
        "training. Weights are the averaged ones at the end of their run.",
        "## The paper's Table 3",
        table_3(runs),
        "## The paper's Table 2: Set5 at x3, image by image",
        table_2(runs),
    ]
    trained = [run for run in runs if run.record]
    if trained:
        parts += ["## Trainings", run_table(trained)]
    if curves:
        parts.append(f"![PSNR over optimizer steps]({curves})")
    if pictures:
        parts += [
            "## The paper's pictures",
            "HR image with the crop marked, then the crop: original, bicubic, ours. PSNR and SSIM "
            "are those of the crop's luma. LR images are rounded to 8 bits in colour.",
        ]
        parts += [
            f"{figure}: {caption}\n\n![{caption}]({link})" for figure, caption, link in pictures
        ]
    return "\n\n".join(parts) + "\n"


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="train.py report", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folders", type=Path, nargs="+", help="of tests, fits and weights")
    parser.add_argument("--output", type=Path, default=Path("docs/results.md"))
    parser.add_argument("--no-curves", action="store_true", help="leave out the learning curves")
    parser.add_argument("--no-pictures", action="store_true", help="leave out Figs. 4-7")
    options = parser.parse_args(args)
    try:
        runs = [read_run(folder) for folder in options.folders]
        folder = options.output.parent
        folder.mkdir(parents=True, exist_ok=True)
        curves, pictures = None, []
        # The last validation is there twice: two points are one, and make no curve.
        with_curve = [run for run in runs if len(run.curve) > 2]
        if with_curve and not options.no_curves:
            curves = f"{options.output.stem}_curves.png"
            draw_curves(with_curve, folder / curves)
        if not options.no_pictures:
            weights = {
                run.benchmark["scale"]: run.folder
                for run in runs
                if run.benchmark
                and run.benchmark["model"] == "FDNN"
                and (run.folder / FILE_NAME).is_file()
            }
            pictures = [(f, c, p.name) for f, c, p in draw_figures(weights, folder)]
        given = " ".join(map(str, options.folders))
        command = f"python src/train.py report {given} --output {options.output}"
        options.output.write_text(page(runs, command, curves, pictures), encoding="utf-8")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.strerror or error}: {error.filename or ''}", file=sys.stderr)
        return 1
    print(f"report written to {options.output}")
    return 0
