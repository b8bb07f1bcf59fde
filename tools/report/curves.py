"""Learning curves of several trainings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from fdnn.files.errors import UserError
from tools.report.records import Run


def draw_curves(runs: Sequence[Run], path: Path) -> None:
    """Draw validation PSNR over optimizer steps: a panel for each scale, a line for each run.

    What lies more than 1 dB below the lowest end of a line is cut off.

    Raises:
        UserError: If matplotlib is not installed.
    """
    try:
        from matplotlib import colormaps
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError(
            "learning curves need matplotlib: pip install -e '.[report]', or use --no-curves"
        ) from None
    scales = sorted({run.scale for run in runs})
    figure = Figure(figsize=(9, 3.5 * len(scales)), layout="constrained")
    panels = figure.subplots(len(scales), squeeze=False)[:, 0]
    for scale, axes in zip(scales, panels, strict=True):
        axes.set_prop_cycle(color=colormaps["tab20"](range(20)))
        ends = []
        for run in (run for run in runs if run.scale == scale):
            # A resumed run may have been validated on other sets than before.
            for name in dict.fromkeys(name for _, scores in run.curve for name in scores):
                points = [(step, scores[name]) for step, scores in run.curve if name in scores]
                steps, psnr = zip(*points, strict=True)
                axes.plot(steps, psnr, ".-", label=f"{run.label}, {name}")
                ends.append(psnr[-1])
        lowest = min(filter(math.isfinite, ends), default=-math.inf)
        axes.set_ylim(bottom=max(axes.get_ylim()[0], lowest - 1))
        axes.set(title=f"x{scale}", ylabel="PSNR in dB")
        axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
        axes.grid(alpha=0.3)
    panels[-1].set_xlabel("optimizer steps")
    figure.savefig(path, dpi=110)
