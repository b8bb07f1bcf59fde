"""Wall time and memory of alternatives, taken in turn so that noise treats all alike."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from fdnn.inference.hardware import half_precision

Case = Callable[[], object]


class Timing(NamedTuple):
    """Seconds a call took: the median over the repeats, the least and the most."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, seconds: list[float]) -> Timing:
        """Summarise single measurements."""
        return cls(statistics.median(seconds), min(seconds), max(seconds))


def device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precisions() -> dict[str, torch.dtype]:
    """float32, and bfloat16 where the device has it: emulated, it would take minutes."""
    found = {"fp32": torch.float32}
    if half_precision(device()) == torch.bfloat16:
        found["bf16"] = torch.bfloat16
    return found


def synchronise() -> None:
    """Wait until the GPU, if there is one, has done what it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def alternate(cases: Mapping[str, Case], repeats: int, least: float = 0.3) -> dict[str, Timing]:
    """Time each case in turn, and all of that ``repeats`` times, after one call to warm up.

    Args:
        cases: What to time, by name.
        repeats: Measurements of each case.
        least: A measurement calls its case until so many seconds are over.
    """
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for case in cases.values():
        case()
    for _ in range(repeats):
        for name, case in cases.items():
            synchronise()
            start = time.perf_counter()
            calls = 0
            while calls == 0 or time.perf_counter() - start < least:
                case()
                synchronise()
                calls += 1
            seconds[name].append((time.perf_counter() - start) / calls)
    return {name: Timing.of(values) for name, values in seconds.items()}


def peak_memory(case: Case) -> float | None:
    """Return by how many MiB memory grows, at most, while a case runs.

    GPU memory where there is a GPU; else the process's resident memory as Linux counts it, and
    None where that cannot be read.
    """
    if torch.cuda.is_available():
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        case()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return None
    page = os.sysconf("SC_PAGE_SIZE")

    def resident() -> int:
        return int(statm.read_text().split()[1]) * page

    before = peak = resident()
    running = True

    def watch() -> None:
        nonlocal peak
        while running:
            peak = max(peak, resident())
            time.sleep(0.001)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    case()
    running = False
    watcher.join()
    return (peak - before) / 2**20


def as_dict(timings: Mapping[str, Timing]) -> dict[str, dict[str, Any]]:
    """Spell timings out for JSON, in seconds."""
    return {name: timing._asdict() for name, timing in timings.items()}
