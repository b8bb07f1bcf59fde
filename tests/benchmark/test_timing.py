import time

import numpy as np
import pytest

from fdnn.benchmark.timing import Timing, alternate, peak_memory


def test_cases_take_turns() -> None:
    calls: list[str] = []
    timings = alternate(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=3, least=0
    )
    assert calls == ["a", "b"] + ["a", "b"] * 3  # one call each to warm up
    assert all(t.low <= t.median <= t.high for t in timings.values())


def test_measures_seconds_a_call() -> None:
    timing = alternate({"nap": lambda: time.sleep(0.02)}, repeats=2, least=0.05)["nap"]
    assert timing.low >= 0.02


def test_median() -> None:
    assert Timing.of([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)


def test_peak_memory_sees_an_array() -> None:
    def case() -> None:
        np.ones(200 << 17)  # 200 MiB
        time.sleep(0.05)

    peak = peak_memory(case)
    if peak is None:
        pytest.skip("this system does not tell resident memory")
    assert 150 < peak < 300
