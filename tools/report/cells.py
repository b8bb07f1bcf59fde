"""Tables in Markdown, and how a measured score stands beside a printed one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fdnn.evaluation.published import NAMES, Score
from tools.report.records import SETS

#: Decimals of PSNR and SSIM: measured, printed in the paper.
DIGITS = ((3, 2), (4, 4))

#: What stands above the scores of each set. Set5 is the validation set.
SET_HEADS = [f"{name} (validation)" if name == "Set5" else name for name in SETS]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def signed(difference: float, digits: int = 2) -> str:
    """Spell a difference with its sign; nothing is +0."""
    return f"{round(difference, digits) + 0.0:+.{digits}f}"


def figure(ours: float | None, printed: float | None, digits: tuple[int, int] = DIGITS[0]) -> str:
    """Spell a figure as ``29.723 (29.80, -0.08)``: measured, printed, difference.

    Args:
        ours: Measured, or None: ``(29.80)``.
        printed: In the paper, or None: ``29.723``.
        digits: Decimals of both.
    """
    paper = "" if printed is None else f"{printed:.{digits[1]}f}"
    if ours is None:
        return f"({paper})" if paper else ""
    measured = f"{ours:.{digits[0]}f}"
    if printed is None:
        return measured
    return f"{measured} ({paper}, {signed(ours - printed, digits[1])})"


def cell(ours: Score | None, printed: tuple[float, float | None] | None, *below: str) -> str:
    """Fill a cell of a table: PSNR, below it SSIM, see :func:`figure`.

    Args:
        ours: Measured.
        printed: In the paper.
        below: Further lines.
    """
    pairs = zip(ours or (None, None), printed or (None, None), DIGITS, strict=True)
    return "<br>".join(line for line in [*(figure(*pair) for pair in pairs), *below] if line)


def system(model: str) -> str:
    """Name a network as prose does, such as ``FDNN deep + self-ensemble``."""
    name, *rest = model.split(" + ")
    names = NAMES | {"FDNNDeep": "FDNN deep"}
    return " + ".join([names.get(name, name), *rest])
