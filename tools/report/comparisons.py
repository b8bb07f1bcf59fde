"""The paper's Tables 2 and 3: one row for each system, measured beside printed."""

from __future__ import annotations

from collections.abc import Sequence

from fdnn.evaluation.published import TABLE_2, TABLE_3, best, method
from tools.report.cells import SET_HEADS, cell, signed, system, table
from tools.report.records import SETS, Run, fit_of
from tools.report.trainings import EFFORT_HEADS, effort

#: A row, after the PSNR that it is sorted by.
Row = tuple[float, list[str]]


def table_3(tests: Sequence[Run], scale: int, runs: Sequence[Run]) -> str:
    """Put means over sets beside those of Table 3, by rising PSNR on Set14.

    Methods of Table 3 that were not tested here have rows too.

    Args:
        tests: What was tested.
        scale: Of the tests that are shown.
        runs: Where their fits may be found.
    """
    rows = _tested(tests, scale, runs)
    systems = {row[0] for _, row in rows}
    for name, sets in TABLE_3.items():
        if name not in systems and scale in sets["Set14"]:
            cells = [cell(None, sets[set_name][scale]) for set_name in SETS]
            rows.append((sets["Set14"][scale][0], [name, "", "", "", "", *cells]))
    return _sorted(rows)


def _tested(tests: Sequence[Run], scale: int, runs: Sequence[Run]) -> list[Row]:
    rows = []
    for test in tests:
        if test.scale != scale:
            continue
        printed = TABLE_3.get(method(test.model), {})
        cells = [cell(test.score(name), printed.get(name, {}).get(scale)) for name in SETS]
        names = [system(test.model), test.label]
        psnr, _ = test.score("Set14") or (0.0, 0.0)
        rows.append((psnr, [*names, *effort(fit_of(test, runs)), *cells]))
    return rows


def _sorted(rows: list[Row]) -> str:
    ordered = [row for _, row in sorted(rows, key=lambda row: row[0])]
    return table(["system", "weights", *EFFORT_HEADS, *SET_HEADS], ordered)


def to_the_best(tests: Sequence[Run]) -> str:
    """Say how far FDNN and its relatives are from the best of Table 3."""
    rows = []
    for test in sorted(tests, key=lambda test: test.scale):
        if method(test.model) != "FDNN" or not best("Set14", test.scale):
            continue
        cells = []
        for name in SETS:
            ours, highest = test.score(name), best(name, test.scale)
            differences = zip(ours or (), highest or (), (2, 4), strict=False)
            cells.append(" / ".join(signed(a - b, digits) for a, b, digits in differences))
        rows.append([f"x{test.scale}", system(test.model), test.label, *cells])
    return table(["scale", "system", "weights", *SET_HEADS], rows)


def table_2(tests: Sequence[Run]) -> str:
    """Put each image of Set5 at x3 beside Table 2, by rising PSNR on Set5."""
    tested = [test for test in tests if test.scale == 3 and test.score("Set5")]
    tested.sort(key=lambda test: test.score("Set5") or (0.0, 0.0))
    rows = []
    for test in tested:
        printed = [sets.get(method(test.model)) for sets in TABLE_2.values()]
        if any(printed):
            ours = [test.image_score("Set5", title) for title in TABLE_2]
            cells = [cell(*pair) for pair in zip(ours, printed, strict=True)]
            rows.append([system(test.model), test.label, *cells])
    return table(["system", "weights", *TABLE_2], rows)
