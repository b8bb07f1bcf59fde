import csv
import errno
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from fdnn.cli.trainer import main
from fdnn.files.provenance import METRICS_NAME
from fdnn.inference.engines import compiler_works
from fdnn.models.weights import FILE_NAME, load
from fdnn.training.logs import MetricsFile, RunLogger

ROOT = Path(__file__).parents[2]


def metrics(number: int) -> list[dict[str, str]]:
    """Rows of a run's metrics, less those of the clock."""
    with Path(f"logs/tiny/version_{number}", METRICS_NAME).open(newline="") as file:
        return [
            {k: v for k, v in row.items() if v and "speed" not in k} for row in csv.DictReader(file)
        ]


def assert_same(whole: int, resumed: int) -> None:
    assert metrics(resumed) == metrics(whole)
    a, b = (load(f"logs/tiny/version_{i}/{FILE_NAME}").state_dict() for i in (whole, resumed))
    for key, value in a.items():
        assert torch.equal(value, b[key]), key


def fit(options: list[str]) -> None:
    """Train in a process of its own: what a compiler makes may depend on what a process did."""
    command = [sys.executable, str(ROOT / "src/train.py"), "fit", *options]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def kill_after_two_epochs(options: list[str], run: Path) -> None:
    command = [sys.executable, str(ROOT / "src/train.py"), "fit", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not (run / "checkpoints" / "last.previous.ckpt").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (run / FILE_NAME).exists()  # it was not done yet


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_killed_and_resumed_logs_the_same(compiled, tiny, tmp_path) -> None:
    if compiled and not compiler_works(torch.device("cpu")):
        pytest.skip("no C++ compiler here")
    options = [*tiny, "--trainer.max_epochs", "12", "--data.num_workers", "1"]
    options += ["--model.compile", str(compiled).lower()]
    fit(options)
    assert len(metrics(0)) == 12 * (3 + 1) + 1  # each step, each validation, the last one again
    kill_after_two_epochs(options, tmp_path / "logs/tiny/version_1")
    fit([*options, "--ckpt_path", "last"])
    assert_same(0, 2)


@pytest.mark.parametrize("step", [4, 2])  # of epochs of three; at their end validation comes first
def test_stopped_in_an_epoch_and_resumed_logs_the_same(step, tiny, stop_after) -> None:
    assert main(["fit", *tiny]) == 0
    stop_after(step)
    assert main(["fit", *tiny]) == 143
    assert main(["fit", *tiny, "--ckpt_path", "last"]) == 0
    assert_same(0, 2)


def test_runs_that_start_at_the_same_moment_get_folders_of_their_own(tmp_path) -> None:
    loggers = [RunLogger(tmp_path, "x") for _ in range(64)]
    with ThreadPoolExecutor(16) as pool:
        folders = list(pool.map(lambda logger: logger.log_dir, loggers))
    assert len(set(folders)) == 64
    assert all(Path(folder).is_dir() for folder in folders)
    assert RunLogger(tmp_path, "x").version == 64


def test_a_run_that_did_not_start_leaves_no_folder(tmp_path) -> None:
    logger = RunLogger(tmp_path, "x")
    assert logger.experiment
    assert Path(logger.log_dir).is_dir()
    logger.finalize("failed")
    assert not Path(logger.log_dir).exists()


def test_a_full_disk_loses_no_row_and_doubles_none(tmp_path, monkeypatch, caplog) -> None:
    file = MetricsFile(str(tmp_path))
    file.log_metrics({"a": 1}, 0)
    file.save()
    opened = Path.open

    def full(path, mode="r", **options):
        handle = opened(path, mode, **options)
        if mode == "a":
            os.write(handle.fileno(), b"2,")  # a part of it still fits
            raise OSError(errno.ENOSPC, "No space left on device")
        return handle

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        for step in (1, 2):
            file.log_metrics({"a": step + 1}, step)
            file.save()
    assert caplog.text.count("No space left on device") == 1
    assert (tmp_path / METRICS_NAME).read_text().split() == ["a,step", "1,0"]
    file.log_metrics({"a": 4, "b": 5}, 3)
    file.save()
    assert (tmp_path / METRICS_NAME).read_text().split() == [
        "a,b,step", "1,,0", "2,,1", "3,,2", "4,5,3"
    ]  # fmt: skip
