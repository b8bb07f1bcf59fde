"""Learning curves: what the picture shows and what it leaves out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tools.report.curves import draw_curves
from tools.report.records import Run

Figure = pytest.importorskip("matplotlib.figure").Figure


def run(name: str, *psnr: float) -> Run:
    curve = [(1000 * step, {"Set5": value}) for step, value in enumerate(psnr, start=1)]
    return Run(Path(name), record={"scale": 3}, curve=curve)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    figures: list[Any] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    return figures


def test_a_bad_start_or_a_broken_end_does_not_flatten_the_others(drawn: list[Any]) -> None:
    runs = [run("broken", 33.0, math.nan), run("fdnn_x3", 33.0, 33.7), run("drcn_x3", 16.3, 32.2)]
    draw_curves(runs, Path("unused.png"))
    bottom, top = drawn[0].axes[0].get_ylim()
    assert bottom == pytest.approx(31.2)
    assert top > 33.7


def test_sets_that_came_and_went_are_all_drawn(drawn: list[Any]) -> None:
    curve = [(1000, {"a": 30.0}), (2000, {"a": 31.0, "b": 30.5}), (3000, {"b": 30.6})]
    draw_curves([Run(Path("x"), record={"scale": 3}, curve=curve)], Path("unused.png"))
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in drawn[0].axes[0].lines]
    assert lines == [([1000, 2000], [30.0, 31.0]), ([2000, 3000], [30.5, 30.6])]


def test_a_training_without_any_score_is_drawn(tmp_path: Path) -> None:
    draw_curves([run("broken", math.nan)], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000
