"""The report: what was measured, beside what the paper prints, as one Markdown page.

    python -m tools.report checkpoints/* docs/runs/*

A folder given may be that of a ``test`` (``benchmark.json``), of a ``fit`` (``run.json`` and
``metrics.csv``), of published weights (all of them) or of ``python -m tools.benchmark.zoo``
(``speed.json``). The page holds what can be said from these files; learning curves and the
picture of quality against cost need the extra ``report``, pictures the weights and the images.

Tests of VDSR10 belong to Table 1; the fit of their weights must be among the folders and says
with which loss. Folders named ``t4_...`` belong to Table 4, one for each network and seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from fdnn.files.atomic import replacing
from fdnn.files.errors import UserError, one_line
from fdnn.models.weights import FILE_NAME
from tools.report.ablations import PREFIX, of_table_1, of_table_4, table_1, table_4
from tools.report.comparisons import table_2, table_3, to_the_best
from tools.report.curves import draw_curves
from tools.report.figures import draw_figures
from tools.report.quality import SCALE, SET, draw_quality, points, quality_table
from tools.report.records import Run, read_run
from tools.report.trainings import trainings


def outside_ablations(runs: Sequence[Run]) -> list[Run]:
    """Leave out the runs of Tables 1 and 4, which compare trainings."""
    return [run for run in runs if not of_table_1(run) and not of_table_4(run)]


def comparison(runs: Sequence[Run]) -> list[str]:
    """Write the sections on Tables 3 and 2."""
    tests = [run for run in outside_ablations(runs) if run.benchmark]
    parts = [
        "## The paper's Table 3",
        "A cell holds PSNR in dB and below it SSIM: `measured (printed in the paper, difference)`. "
        "Without brackets, the paper prints nothing for it; brackets alone were not measured here. "
        "FDNN deep and the self-ensemble are ours; the latter stands beside the paper's FDNN. "
        "Minutes are those of the fit on its machine (`run.json` beside "
        "the weights names its processor and threads), without the making of teachers' targets; a "
        "`+` behind the steps: the fit began with weights that other steps had made.",
    ]
    for scale in sorted({test.scale for test in tests}):
        parts += [f"### x{scale}", table_3(tests, scale, runs)]
    parts += [
        "### FDNN against the best of Table 3",
        "Difference to the highest PSNR and to the highest SSIM that Table 3 has in the column, "
        "whichever methods they are of.",
        to_the_best(tests),
        "## The paper's Table 2: Set5 at x3, image by image",
        table_2(tests),
    ]
    return parts


def ablations(runs: Sequence[Run]) -> list[str]:
    """Write the sections on Tables 1 and 4, of which there are runs."""
    parts = []
    if any(map(of_table_1, runs)):
        parts += [
            "## The paper's Table 1: VDSR10 trained with MSE and with MSE-KL",
            "PSNR in dB: `measured (printed in the paper, difference)`. Each loss trained one "
            "network for all scales; of several seeds the cell holds the mean, and below it each.",
            table_1(runs),
        ]
    if any(map(of_table_4, runs)):
        parts += [
            "## The paper's Table 4: convolutions and deconvolutions at x3",
            f"Cells as for Table 3, from short trainings of their own (`{PREFIX}...` below), of "
            "FDNN too: the weights of Table 3 were trained for longer. Where several seeds were "
            "trained, the cell holds their mean, and below it each one's PSNR.",
            table_4(runs),
        ]
    return parts


def quality(runs: Sequence[Run], speed: Run, picture: Path | None) -> list[str]:
    """Write the section on quality against cost.

    Args:
        runs: What was measured.
        speed: What ``python -m tools.benchmark.zoo`` measured.
        picture: Where the picture goes; none if None.

    Returns:
        Paragraphs of Markdown.
    """
    found = points([run for run in outside_ablations(runs) if run.benchmark], speed)
    how = speed.speed or {}
    parts = [
        f"## Quality against cost, {SET} at x{SCALE}",
        "Multiply-adds are those of `src/fdnn/models/cost.py`. "
        f"Time is the median of {how['repeats']} turns (least to most), all systems in turn, "
        f"{how['engine']}, on {how['hardware']}; "
        f"the image: {how['image']}.",
        quality_table(found),
    ]
    if picture:
        draw_quality(found, picture)
        parts.insert(2, f"![PSNR over parameters, multiply-adds and time]({picture.name})")
    return parts


def page(
    runs: Sequence[Run],
    command: str,
    costs: Sequence[str] = (),
    curves: str | None = None,
    pictures: Sequence[tuple[str, str, str]] = (),
) -> str:
    """Write the report.

    Args:
        runs: What was measured.
        command: What made this page.
        costs: Section on quality against cost.
        curves: Link to the learning curves.
        pictures: (figure, caption, link) of the paper's pictures.

    Returns:
        Markdown.
    """
    parts = [
        "# Results",
        f"Made by `{command}` from the files that `test` and `fit` leave. Scores are mean PSNR in "
        "dB and mean SSIM over images, of the luma, under the protocol of "
        "`src/fdnn/evaluation/metrics.py`. Set5 is the validation set: its scores were watched "
        "while training. Weights are those at the end of their run, averaged ones if it averaged.",
        *comparison(runs),
        *ablations(runs),
        *costs,
    ]
    if any(run.record for run in runs):
        parts += [
            "## Trainings",
            "Each command stands in the record of its run: `run.json` in `checkpoints/` and "
            "`docs/runs/`. Records name files as they were called at their commit.",
            trainings(runs),
        ]
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


def shorten(folders: Sequence[Path]) -> str:
    """Spell folders as a command line: ``parent/*`` where all of a parent's are there."""
    words = []
    for folder in folders:
        root = folder.parent
        all_of_it = {path for path in root.glob("*") if not path.name.startswith(".")}
        whole = len(all_of_it) > 1 and all_of_it <= set(folders)
        words.append(f"{root}/*" if whole else str(folder))
    return " ".join(dict.fromkeys(words))


def write(options: argparse.Namespace) -> None:
    """Write the page and its pictures.

    Raises:
        UserError: If a folder cannot be read, or something for a picture is missing.
    """
    runs = [read_run(folder) for folder in options.folders]
    output: Path = options.output
    folder = output.parent
    folder.mkdir(parents=True, exist_ok=True)
    costs: list[str] = []
    timed = [run for run in runs if run.speed]
    if len(timed) > 1:
        raise UserError(f"two folders hold timings: {timed[0].folder} and {timed[1].folder}")
    if timed:
        picture = None if options.no_curves else folder / f"{output.stem}_quality.png"
        costs = quality(runs, timed[0], picture)
    curves, pictures = None, []
    # The last validation is there twice: two points are one, and make no curve.
    with_curve = [run for run in outside_ablations(runs) if len(run.curve) > 2]
    if with_curve and not options.no_curves:
        curves = f"{output.stem}_curves.png"
        draw_curves(with_curve, folder / curves)
    if not options.no_pictures:
        weights = {
            run.scale: run.folder
            for run in outside_ablations(runs)
            if run.model == "FDNN" and (run.folder / FILE_NAME).is_file()
        }
        pictures = [(f, c, p.name) for f, c, p in draw_figures(weights, folder)]
    flags = {"--no-curves": options.no_curves, "--no-pictures": options.no_pictures}
    words = [shorten(options.folders), f"--output {output}", *(f for f, on in flags.items() if on)]
    command = " ".join(["python -m tools.report", *words])
    with replacing(output) as temporary:
        temporary.write_text(page(runs, command, costs, curves, pictures), encoding="utf-8")


@one_line
def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.report", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folders", type=Path, nargs="+", help="of tests, fits, weights, timings")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.md", help="to write")
    parser.add_argument("--no-curves", action="store_true", help="leave out what needs matplotlib")
    parser.add_argument("--no-pictures", action="store_true", help="leave out Figs. 4-7")
    options = parser.parse_args(args)
    if options.output.is_dir():
        raise UserError(f"--output {options.output} is a folder; name a file, such as results.md")
    write(options)
    print(f"report written to {options.output}")
    return 0
