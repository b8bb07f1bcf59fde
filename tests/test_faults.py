"""What a run does when the machine does not do its part: real disks, processes and files."""

import csv
import json
import multiprocessing
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from fdnn.cli.trainer import main
from fdnn.models.weights import FILE_NAME, load
from fdnn.training.callbacks import Throughput

MOUNT = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs"]


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """An empty disk of 8 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        subprocess.run([*MOUNT, str(folder)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small disk can be mounted by root only")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as file:
        try:
            for size in (1 << 16, 1):
                while True:
                    file.write(bytes(size))
        except OSError:
            pass
    subprocess.run(["dd", "if=/dev/zero", f"of={disk}/rest", "bs=512"], capture_output=True)


def free(disk: Path) -> None:
    (disk / "ballast").unlink()
    (disk / "rest").unlink()


@pytest.fixture
def at_step(monkeypatch):
    """Do something before a step of the training."""

    def register(actions):
        start = Throughput.on_train_batch_start

        def acting(self, trainer, *args):
            actions.get(trainer.global_step, lambda: None)()
            start(self, trainer, *args)

        monkeypatch.setattr(Throughput, "on_train_batch_start", acting)

    return register


def one_line(text: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in text
    assert text.strip().splitlines()[-1] == line
    return line


def test_a_disk_that_is_full_for_a_while_costs_no_metrics(
    tiny, disk, at_step, caplog, capsys
) -> None:
    at_step({0: lambda: fill(disk), 5: lambda: free(disk)})
    # One epoch: no checkpoint is due while there is no room.
    options = ["--trainer.max_epochs", "1", "--data.steps_per_epoch", "8"]
    assert main(["fit", *tiny, *options, "--trainer.default_root_dir", str(disk)]) == 0
    folder = disk / "tiny" / "version_0"
    assert caplog.text.count("metrics.csv cannot be written (No space left on device)") == 1
    with (folder / "metrics.csv").open(newline="") as file:
        steps = [row["step"] for row in csv.DictReader(file) if row["train/loss"]]
    assert steps == [str(i) for i in range(8)]
    assert json.loads((folder / "run.json").read_text())["steps"] == 8


def test_a_disk_that_stays_full_keeps_the_last_checkpoint(tiny, disk, at_step, capsys) -> None:
    at_step(actions := {4: lambda: fill(disk)})
    options = ["--trainer.default_root_dir", str(disk)]
    assert main(["fit", *tiny, *options]) == 1
    line = one_line(capsys.readouterr().err)
    assert "checkpoint cannot be written" in line
    assert "No space left on device" in line
    assert "--ckpt_path last" in line
    assert not list(disk.rglob("*.partial"))
    free(disk)
    actions.clear()
    assert main(["fit", *tiny, *options, "--ckpt_path", "last"]) == 0
    assert main(["fit", *tiny]) == 0  # without any fault
    mended, whole = disk / "tiny" / "version_1", Path("logs/tiny/version_0")
    assert (mended / FILE_NAME).read_bytes() == (whole / FILE_NAME).read_bytes()


def test_a_full_disk_ends_a_prediction_without_broken_images(tiny, disk, tmp_path, capsys) -> None:
    assert main(["fit", *tiny, "--trainer.max_epochs", "1"]) == 0
    command = ["predict", *tiny, "--ckpt_path", "logs/tiny/version_0"]
    command += ["--input", str(tmp_path / "photos"), "--output", str(disk / "out")]
    fill(disk)
    capsys.readouterr()
    assert main(command) == 1
    line = one_line(capsys.readouterr().err)
    assert "No space left on device" in line
    assert str(disk / "out") in line
    assert not [p for p in (disk / "out").rglob("*") if p.is_file()]
    free(disk)
    assert main(command) == 0
    for file in (disk / "out").iterdir():
        Image.open(file).load()
    assert len(list((disk / "out").iterdir())) == 6


def test_a_read_only_disk_is_one_line_before_training(tiny, disk, capsys) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert main(["fit", *tiny, "--trainer.default_root_dir", str(disk)]) == 1
    line = one_line(capsys.readouterr().err)
    assert "Read-only file system" in line
    assert "--trainer.default_root_dir" in line


def test_a_file_where_the_logs_should_go_is_one_line(tiny, tmp_path, capsys) -> None:
    (tmp_path / "logs").write_text("a file")
    assert main(["fit", *tiny]) == 1
    assert "no log folder can be made in logs" in one_line(capsys.readouterr().err)


def test_a_killed_worker_is_one_line(tiny, at_step, capsys) -> None:
    def kill() -> None:
        for worker in multiprocessing.active_children():
            os.kill(worker.pid, signal.SIGKILL)

    at_step({4: kill})
    options = ["--data.num_workers", "1", "--data.steps_per_epoch", "400"]
    assert main(["fit", *tiny, *options]) == 1
    line = one_line(capsys.readouterr().err)
    assert "DataLoader worker" in line
    assert "--ckpt_path last" in line


def test_a_validation_image_deleted_while_training(tiny, tmp_path, at_step, capsys) -> None:
    victim = tmp_path / "photos" / "photo4.png"
    at_step({4: victim.unlink})
    assert main(["fit", *tiny]) == 1
    assert f"{victim}: no such file" in one_line(capsys.readouterr().err)
    # The training images were read at the start: nothing is lost but the last epoch.
    assert load("logs/tiny/version_0/checkpoints/last.ckpt").scale == 2


def test_images_deleted_and_corrupted_between_stop_and_resume(
    tiny, tmp_path, capsys, caplog
) -> None:
    assert main(["fit", *tiny, "--trainer.max_epochs", "1"]) == 0
    others = tmp_path / "val"
    others.mkdir()
    (tmp_path / "photos" / "photo0.png").rename(others / "photo0.png")
    broken = tmp_path / "photos" / "photo3.png"
    broken.write_bytes(broken.read_bytes()[:300])
    resume = ["fit", *tiny, "--data.val_sets", f"[{others}]", "--ckpt_path", "last"]
    capsys.readouterr()
    assert main(resume) == 1
    assert str(broken) in one_line(capsys.readouterr().err)
    caplog.clear()
    assert main([*resume, "--data.on_error", "skip"]) == 0
    assert "1 training images left out, see" in caplog.text
    (record,) = [
        json.loads(p.read_text()) for p in Path("logs/tiny").glob("*/run.json")
        if "skip" in p.with_name("config.yaml").read_text()
    ]  # fmt: skip
    assert len(record["left_out"]) == 1
    assert str(broken) in record["left_out"][0]


def test_a_link_to_nothing_among_the_training_images_is_skipped(tiny, tmp_path) -> None:
    (tmp_path / "photos" / "gone.png").symlink_to("nowhere.png")
    assert main(["fit", *tiny, "--data.val_sets", "[]", "--data.on_error", "skip"]) == 0
    record = json.loads(Path("logs/tiny/version_0/run.json").read_text())
    assert len(record["left_out"]) == 1
    assert "gone.png: no such file" in record["left_out"][0]
