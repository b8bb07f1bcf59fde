"""The paper's Tables 1 and 4, which compare trainings; several seeds of one are averaged."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from fdnn.evaluation.published import TABLE_1, TABLE_4, Score
from tools.report.cells import SET_HEADS, cell, figure, signed, table
from tools.report.records import SETS, Run, fit_of
from tools.report.trainings import EFFORT_HEADS, efforts

#: Folders of runs for Table 4 begin so: an FDNN of equal budget is not the shipped one.
PREFIX = "t4_"

#: Loss, as :mod:`fdnn.training.losses` calls it -> column of Table 1.
LOSSES = {"MSE": "VDSR10 MSE", "MSE + KL": "VDSR10 MSE-KL"}


def of_table_1(run: Run) -> bool:
    """Whether a run is a test for Table 1."""
    return run.model == "VDSR10"


def of_table_4(run: Run) -> bool:
    """Whether a run is for Table 4: of a mixed network, or of a folder that says so."""
    return run.label.startswith(PREFIX) or (run.model in TABLE_4 and run.model != "FDNN")


def _mean(tests: Sequence[Run], set_name: str) -> Score | None:
    scores = [score for test in tests if (score := test.score(set_name))]
    if not scores:
        return None
    return statistics.fmean(p for p, _ in scores), statistics.fmean(s for _, s in scores)


def _each(tests: Sequence[Run], set_name: str) -> list[str]:
    """Spell the PSNR of every one of several tests."""
    scores = [score for test in tests if (score := test.score(set_name))]
    return ["each: " + ", ".join(f"{psnr:.3f}" for psnr, _ in scores)] if len(scores) > 1 else []


def _seeds(tests: Sequence[Run], runs: Sequence[Run]) -> str:
    return ", ".join(str(fit_of(test, runs).get("seed", "")) for test in tests)


def _in_order(tests: Sequence[Run], runs: Sequence[Run]) -> list[Run]:
    """Sort tests by the seeds of their fits; the same weights at the same scale count once."""
    once = {(test.weights_sha256, test.scale): test for test in tests}
    return sorted(once.values(), key=lambda test: (fit_of(test, runs).get("seed", 0), test.label))


def table_1(runs: Sequence[Run]) -> str:
    """Compare VDSR10 trained with MSE and with MSE-KL, as Table 1 does, in PSNR.

    Which loss weights were trained with, the record of their fit says; below the table stand
    the tests of which no record says it.
    """
    tests: dict[str, list[Run]] = {loss: [] for loss in LOSSES}
    unknown = []
    for test in _in_order([run for run in runs if of_table_1(run)], runs):
        loss = fit_of(test, runs).get("loss", "unknown: no fit of these weights says it")
        if loss in LOSSES:
            tests[loss].append(test)
        else:
            unknown.append(f"`{test.label}` (loss {loss})")
    rows = []
    for name in SETS:
        for scale in (2, 3, 4):
            chosen = [[t for t in tests[loss] if t.scale == scale] for loss in LOSSES]
            printed = [TABLE_1[column][name][scale] for column in LOSSES.values()]
            means = [(_mean(group, name) or (None,))[0] for group in chosen]
            cells = [
                "<br>".join([figure(mean, paper), *_each(group, name)])
                for mean, paper, group in zip(means, printed, chosen, strict=True)
            ]
            without, with_kl = means
            here = "" if without is None or with_kl is None else signed(with_kl - without)
            rows.append([name, f"x{scale}", *cells, here, signed(printed[1] - printed[0])])
    head = ["set", "scale", *LOSSES.values(), "gain by KL: here", "in the paper"]
    parts = [table(head, rows), "What the trainings took:"]
    costs = []
    for loss, group in tests.items():
        # One network serves all scales: its three tests have one fit.
        fits = {test.weights_sha256: test for test in group}
        records = [fit_of(test, runs) for test in fits.values()]
        if records:
            seeds = _seeds(list(fits.values()), runs)
            costs.append([LOSSES[loss], *efforts(records), seeds])
    parts.append(table(["", *EFFORT_HEADS, "seeds"], costs))
    if unknown:
        parts.append("Not in the table: " + ", ".join(unknown) + ".")
    return "\n\n".join(parts)


def table_4(runs: Sequence[Run]) -> str:
    """Compare FCNN, the mixed networks and FDNN at x3, as Table 4 does."""
    tests = [run for run in runs if of_table_4(run) and run.benchmark and run.scale == 3]
    rows = []
    for name, printed in TABLE_4.items():
        group = _in_order([test for test in tests if test.model == name], runs)
        records = [fit_of(test, runs) for test in group]
        cells = [cell(_mean(group, s), printed[s], *_each(group, s)) for s in SETS]
        costs = efforts(records) if records else [""] * len(EFFORT_HEADS)
        rows.append([name, *costs, _seeds(group, runs), *cells])
    parts = [table(["network", *EFFORT_HEADS, "seeds", *SET_HEADS], rows)]
    steps = {fit_of(test, runs).get("steps") for test in tests}
    if len(steps) > 1:
        parts.append("**The budgets are not equal**, see the steps.")
    return "\n\n".join(parts)
