"""``python -m tools.benchmark``: prints tables, and writes JSON if asked to."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from fdnn.files.errors import one_line
from fdnn.files.provenance import hardware, versions
from fdnn.models import FDNN
from tools.benchmark import inference, limit, training
from tools.benchmark.timing import Timing, as_dict, precisions


@one_line
def main(args: Sequence[str] | None = None) -> int:
    """Measure, print, write; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.benchmark",
        description="Time training and inference beside the literal network (every layer an "
        "nn.ConvTranspose2d) and this machine's own limit. All alternatives of a table run in "
        "turn in one process; the median counts. Takes some minutes; leave the machine alone.",
    )
    parser.add_argument("--part", choices=["training", "inference"], help="default: both")
    parser.add_argument("--scales", type=int, nargs="+", default=[2, 3, 4], choices=[2, 3, 4])
    parser.add_argument("--repeats", type=int, default=5, help="turns of each alternative")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write all figures as JSON")
    options = parser.parse_args(args)
    if options.repeats < 1:
        parser.error(f"--repeats must be at least 1, got {options.repeats}")
    if options.output and not options.output.parent.is_dir():
        parser.error(f"--output: no folder {options.output.parent}")
    if options.output and options.output.is_dir():
        parser.error(f"--output {options.output} is a folder; name a file")
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    console = Console(width=120)
    console.print(f"{hardware()}; PyTorch {torch.__version__}", highlight=False)
    result: dict[str, Any] = {"hardware": hardware(), "versions": versions()}
    limits = {
        name: limit.convolution_rate(precision, options.repeats)
        for name, precision in precisions().items()
    }
    result["limit_flops"] = limits
    console.print(_limits(limits))
    if options.part != "inference":
        result["training"] = {}
        for scale in options.scales:
            timings = training.steps(scale, options.repeats)
            console.print(_training(scale, timings, limits))
            result["training"][f"x{scale}"] = as_dict(timings)
        fit = training.through_trainer(options.scales[-1], options.repeats)
        console.print(
            f"x{options.scales[-1]} by the fast recipe: plain loop {_ms(fit['plain'])} ms a step, "
            f"Trainer {_ms(fit['trainer'])} ms: overhead {fit['overhead']:.1%}; "
            f"waiting for data {fit['data_wait']:.1%} of the time",
            highlight=False,
        )
        result["trainer"] = {
            key: value._asdict() if isinstance(value, Timing) else value
            for key, value in fit.items()
        }
    if options.part != "training":
        result["inference"] = {}
        for scale in options.scales:
            for size in inference.SIZES:
                rows = inference.images(scale, size, options.repeats)
                console.print(_inference(scale, size, rows, limits))
                result["inference"][f"x{scale} {size[0]}x{size[1]}"] = rows
    if options.output:
        options.output.write_text(json.dumps(result, indent=1) + "\n")
        console.print(f"written to {options.output}", highlight=False)
    return 0


def _ms(timing: Timing) -> str:
    return f"{1000 * timing.median:.1f} ({1000 * timing.low:.1f} to {1000 * timing.high:.1f})"


def _share(work: float, seconds: float, rate: float) -> str:
    return f"{work / seconds / rate:.0%}"


def _limits(limits: dict[str, dict[str, float]]) -> Table:
    table = Table(title="Limit: 64 -> 64 3x3 convolution, 10^9 operations a second", min_width=60)
    for column in ("", "forward", "forward + backward"):
        table.add_column(column, justify="left" if not column else "right")
    for precision, rates in limits.items():
        table.add_row(precision, f"{rates['forward'] / 1e9:.0f}", f"{rates['both'] / 1e9:.0f}")
    return table


def _training(scale: int, timings: dict[str, Timing], limits: dict[str, dict[str, float]]) -> Table:
    title = f"Training step x{scale}, {training.BATCH} pairs of {training.PATCH}x{training.PATCH}"
    table = Table(title=title)
    literal = [name for name in timings if name.startswith("literal, ")]
    for column in ("", "ms a step", "pairs/s", *(f"x {name}" for name in literal), "of the limit"):
        table.add_column(column, justify="left" if not column else "right")
    work = 3 * limit.operations(FDNN(scale), training.BATCH * training.PATCH**2)
    for name, timing in timings.items():
        rate = limits["bf16" if "bf16" in name else "fp32"]["both"]
        table.add_row(
            name,
            _ms(timing),
            f"{training.BATCH / timing.median:.0f}",
            *(f"{timings[other].median / timing.median:.2f}" for other in literal),
            _share(work, timing.median, rate),
        )
    return table


def _inference(
    scale: int,
    size: tuple[int, int],
    rows: dict[str, dict[str, Any]],
    limits: dict[str, dict[str, float]],
) -> Table:
    table = Table(title=f"Inference x{scale} to {size[0]}x{size[1]}")
    for column in ("", "ms", "megapixels/s", "x literal", "of the limit", "peak MiB"):
        table.add_column(column, justify="left" if not column else "right")
    width, height = (-(-side // scale) for side in size)
    work = limit.operations(FDNN(scale), width * height)
    for name, row in rows.items():
        rate = limits["bf16" if "bf16" in name else "fp32"]["forward"]
        seconds = Timing(**row["seconds"])
        table.add_row(
            name,
            _ms(seconds),
            f"{row['megapixels_per_s']:.2f}",
            f"{rows['literal, fp32']['seconds']['median'] / seconds.median:.2f}",
            _share(work, seconds.median, rate),
            "" if row["peak_mib"] is None else f"{row['peak_mib']:.0f}",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
