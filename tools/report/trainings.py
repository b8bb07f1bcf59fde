"""What trainings cost: parameters, steps, minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tools.report.cells import table
from tools.report.records import Run

#: What stands above :func:`effort`.
EFFORT_HEADS = ["parameters", "steps", "minutes"]


def _minutes(record: Mapping[str, Any]) -> str:
    minutes = 60 * record["hours"] if "hours" in record else record.get("minutes")
    if minutes is None:
        return ""
    # Behind the processor stand the graphics cards, see fdnn.files.provenance.hardware.
    cards = record.get("hardware", "").partition(" threads), ")[2]
    return f"{minutes:.1f}, {cards}" if cards else f"{minutes:.1f}"


def effort(record: Mapping[str, Any]) -> list[str]:
    """Spell what a training took.

    Args:
        record: ``run.json``, or nothing.

    Returns:
        Parameters, optimizer steps and minutes; empty where unknown. A ``+`` behind the steps
        says that others went before them, which made the weights that this one began with.
    """
    numbers = [f"{record[key]:,}" if key in record else "" for key in ("parameters", "steps")]
    if numbers[1] and record.get("started_from"):
        numbers[1] += " +"
    return [*numbers, _minutes(record)]


def efforts(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Spell what several trainings of the same network took; what they share once."""
    return [
        ", ".join(dict.fromkeys(filter(None, values)))
        for values in zip(*map(effort, records), strict=True)
    ]


def trainings(runs: Sequence[Run]) -> str:
    """List every training: its length, its cost, and where its last validation stood."""
    rows = []
    for run in runs:
        record = run.record
        if not record or "steps" not in record:
            continue
        last = run.curve[-1][1] if run.curve else {}
        scores = ", ".join(f"{name} {psnr:.3f}" for name, psnr in last.items())
        rows.append([run.label, *effort(record)[1:], scores])
    return table(["run", "steps", "minutes", "PSNR at the end"], rows)
