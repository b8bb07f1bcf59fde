import json
from mmap import mmap

import pytest

from tools.benchmark.endurance import PROC, Sample, growth, main, sample

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="needs /proc")


def test_growth_is_found_and_noise_is_not() -> None:
    leaking = growth([Sample(10 * i, 100 + 0.02 * i, 20 + i // 50) for i in range(200)])
    assert leaking["mib_per_1000"] == pytest.approx(2)
    assert leaking["files_last"] > leaking["files_first"]
    steady = growth([Sample(10 * i, 100 + (i % 7 == 0) * 5, 20) for i in range(200)])
    assert steady["mib_per_1000"] == 0
    assert (steady["files_first"], steady["files_most"]) == (20, 20)


def test_a_sample_sees_memory_and_files(tmp_path) -> None:
    before = sample(0)
    held = mmap(-1, 64 << 20)  # new pages, whatever this process has allocated and freed before
    for _ in range(64):
        held.write(bytes(1 << 20))
    with (tmp_path / "x").open("wb"):
        now = sample(1)
    assert 60 < now.mib - before.mib < 70
    assert now.files == before.files + 1
    held.close()


def test_a_short_run(tmp_path, capsys) -> None:
    assert main(["--steps", "80", "--files", "40", "--output", str(tmp_path / "e")]) == 0
    written = json.loads((tmp_path / "e.json").read_text())
    assert [s[0] for s in written["samples"]["training steps"]] == list(range(1, 81))
    assert [s[0] for s in written["samples"]["files magnified"]] == list(range(1, 41))
    files = written["summary"]["files magnified"]
    assert files["files_last"] <= files["files_first"] + 1
    assert (tmp_path / "e.png").stat().st_size > 5_000
    assert "MiB per 1,000" in capsys.readouterr().out
