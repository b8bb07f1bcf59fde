"""Quality against cost: PSNR on Set14 at x3 over parameters, multiply-adds and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fdnn.evaluation.published import TABLE_3
from fdnn.files.errors import UserError
from tools.report.cells import system, table
from tools.report.records import Run

SCALE, SET = 3, "Set14"

#: Shapes of the points, in turn; one more than there are colours.
MARKERS = "osD^vP*X<>d"

#: What the picture's three panels have on their x axes: a cost's attribute, its name.
PANELS = {
    "parameters": "parameters",
    "multiply_adds": "multiply-adds per output pixel",
    "seconds": "seconds per megapixel of output",
}


@dataclass(frozen=True)
class Point:
    """A system's quality and costs.

    Attributes:
        name: What tables call it.
        psnr: In dB.
        parameters: All trained or fitted numbers.
        multiply_adds: Per output pixel.
        seconds: Per megapixel of output, measured.
        spread: Least and most of these measurements.
    """

    name: str
    psnr: float
    parameters: int
    multiply_adds: float
    seconds: float
    spread: tuple[float, float]


def points(tests: Sequence[Run], speed: Run) -> list[Point]:
    """Bring together what was tested with what it costs, by rising PSNR.

    Args:
        tests: Give the quality.
        speed: Gives the costs of the networks in folders of the same names: they are the same
            after further training.
    """
    found = []
    for name, cost in (speed.speed or {})["systems"].items():
        same = [
            test
            for test in tests
            if (test.label, test.model, test.scale) == (name, cost["model"], SCALE)
        ]
        score = same[0].score(SET) if same else None
        if score:
            time = cost["seconds_per_megapixel"]
            found.append(
                Point(
                    system(cost["model"]),
                    score[0],
                    cost["parameters"],
                    cost["multiply_adds"],
                    time["median"],
                    (time["low"], time["high"]),
                )
            )
    return sorted(found, key=lambda point: point.psnr)


def quality_table(found: Sequence[Point]) -> str:
    """List what the picture shows."""
    rows = []
    for point in found:
        counts = (f"{point.parameters:,}", f"{point.multiply_adds:,.0f}")
        time = f"{point.seconds:.2f} ({point.spread[0]:.2f} to {point.spread[1]:.2f})"
        rows.append([point.name, f"{point.psnr:.3f}", *counts, time])
    return table(["system", f"{SET} x{SCALE}", *PANELS.values()], rows)


def draw_quality(found: Sequence[Point], path: Path) -> None:
    """Draw PSNR over each cost, and bicubic as a line.

    Raises:
        UserError: If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError(
            "the picture of quality against cost needs matplotlib: pip install -e '.[report]'"
        ) from None
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, (attribute, label) in zip(panels, PANELS.items(), strict=True):
        # The best first: on top of the legend, as in the panels.
        for i, point in enumerate(reversed(found)):
            axes.plot(
                getattr(point, attribute),
                point.psnr,
                MARKERS[i % len(MARKERS)],
                color=f"C{i % 10}",
                markersize=9,
                label=point.name,
            )
        bicubic, _ = TABLE_3["Bicubic"][SET][SCALE]
        axes.axhline(bicubic, color="gray", linestyle=":", label="Bicubic")
        axes.set(xscale="log", xlabel=label)
        axes.xaxis.set_minor_formatter("")
        axes.grid(alpha=0.3, which="both")
    panels[0].set_ylabel(f"PSNR on {SET} x{SCALE} in dB")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")
    figure.savefig(path, dpi=110)
