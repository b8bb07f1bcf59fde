import time
from mmap import mmap

import pytest
import torch

from tools.benchmark.timing import Timing, alternate, peak_memory


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
    block = bytes(1 << 20)

    def case() -> None:
        if torch.cuda.is_available():
            torch.ones(200 << 18, device="cuda")
            return
        # 200 MiB in new pages, whatever this process has allocated and freed before.
        with mmap(-1, 200 << 20) as array:
            for _ in range(200):
                array.write(block)
            time.sleep(0.05)

    peak = peak_memory(case)
    if peak is None:
        pytest.skip("this system does not tell resident memory")
    assert 190 < peak < 250
