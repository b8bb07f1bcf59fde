import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from fdnn.cli.trainer import main
from fdnn.models.weights import FILE_NAME, load
from fdnn.training.module import SuperResolution
from tools.report.records import read_run

ROOT = Path(__file__).parents[2]


PARTS = ["--trainer.accumulate_grad_batches", "2"]


@pytest.mark.parametrize(
    ("signum", "status", "options"),
    [(signal.SIGINT, 130, []), (signal.SIGTERM, 143, []), (signal.SIGTERM, 143, PARTS)],
)
def test_stopped_in_an_epoch_and_resumed_equals_uninterrupted(
    signum, status, options, tiny, tmp_path, stop_after, capsys
) -> None:
    # So that the schedule's place matters:
    rising = ["--model.warmup_steps", "9", *options]
    assert main(["fit", *tiny, *rising]) == 0

    stop_after(4, signum)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert main(["fit", *tiny, *rising]) == status
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers

    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"stopped by {signal.Signals(signum).name} after step 5; checkpoint: " in error
    assert error.endswith("go on with --ckpt_path last\n")
    assert main(["fit", *tiny, *rising, "--ckpt_path", "last"]) == 0
    whole, resumed = (load(f"logs/tiny/version_{i}/{FILE_NAME}").state_dict() for i in (0, 2))
    for key, value in whole.items():
        assert torch.equal(value, resumed[key]), key


def test_in_epochs_of_one_step(tiny, stop_after, capsys) -> None:
    stop_after(2)
    one_step = ["--data.steps_per_epoch", "1", "--trainer.max_epochs", "9"]
    assert main(["fit", *tiny, *one_step]) == 143
    assert "after step 3" in capsys.readouterr().err


def test_a_validation_within_an_epoch_is_not_lost(tiny, stop_after, capsys) -> None:
    often = ["--data.steps_per_epoch", "6", "--trainer.val_check_interval", "2"]
    stop_after(1)
    assert main(["fit", *tiny, *often]) == 143
    assert "after step 3" in capsys.readouterr().err
    assert main(["fit", *tiny, *often, "--ckpt_path", "last"]) == 0
    assert [step for step, _ in read_run(Path("logs/tiny/version_1")).curve][:4] == [1, 3, 5, 7]


def test_every_step_validated_is_stopped_at_once(tiny, stop_after, capsys) -> None:
    stop_after(1)
    assert main(["fit", *tiny, "--trainer.val_check_interval", "1"]) == 143
    assert "after step 2" in capsys.readouterr().err


def test_with_another_logger_the_file_is_named(tiny, stop_after, capsys) -> None:
    logger = "{class_path: CSVLogger, init_args: {save_dir: elsewhere, name: mine}}"
    command = ["fit", *tiny, "--trainer.logger", logger]
    stop_after(1)
    assert main(command) == 143
    file = capsys.readouterr().err.split()[-1]
    assert file == "elsewhere/mine/version_0/checkpoints/last.ckpt"
    assert main([*command, "--ckpt_path", file]) == 0


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("command", ["test", "predict"])
def test_a_signal_outside_of_training(
    tiny, monkeypatch, capsys, photos, command, signum, status
) -> None:
    assert main(["fit", *tiny]) == 0
    step = getattr(SuperResolution, f"{command}_step")

    def told_to_stop(self, *args):
        os.kill(os.getpid(), signum)
        return step(self, *args)

    monkeypatch.setattr(SuperResolution, f"{command}_step", told_to_stop)
    options = ["--input", str(photos)] if command == "predict" else []
    handler = signal.getsignal(signal.SIGINT)  # Lightning leaves another one
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
    try:
        assert main([command, *tiny, *options, "--ckpt_path", "logs/tiny/version_0"]) == status
    finally:
        signal.signal(signal.SIGINT, handler)
    error = f"error: stopped by {signal.Signals(signum).name}\n"
    assert capsys.readouterr().err.endswith(error)


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_all_processes_of_the_job(signum, status, tiny, tmp_path) -> None:
    """As a scheduler or a terminal sends it: the worker that cuts patches gets it too."""
    options = [*tiny, "--trainer.max_epochs", "100000", "--data.num_workers", "1"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "src/train.py"), "fit", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    checkpoint = tmp_path / "logs/tiny/version_0/checkpoints/last.ckpt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signum)
    _, error = process.communicate(timeout=120)
    assert process.returncode == status, error
    assert f"stopped by {signal.Signals(signum).name} after step" in error.splitlines()[-1]
