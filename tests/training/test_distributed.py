"""Several processes, started by Lightning, torchrun or SLURM, do what one does."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from fdnn.cli.trainer import main
from fdnn.models import FDNN
from fdnn.models.weights import FILE_NAME, load, save_weights
from fdnn.training import distributed as nodes

TRAIN = str(Path(__file__).parents[2] / "src" / "train.py")
ENV = {**os.environ, "OMP_NUM_THREADS": "1"}
DDP = ["--trainer.strategy", "ddp", "--trainer.devices"]
FIFTY = ["--trainer.max_epochs", "2", "--data.steps_per_epoch", "25"]


def run(*words: str, root: Path) -> Path:
    """Run the command line, in processes of their own if there are several."""
    words = (*words, "--trainer.default_root_dir", str(root))
    if "ddp" not in words:
        assert main(words) == 0
    else:
        command = [sys.executable, TRAIN, *words]
        done = subprocess.run(command, capture_output=True, text=True, env=ENV, check=False)
        assert done.returncode == 0, done.stderr
    return root / "tiny" / "version_0"


def curve(folder: Path) -> list[float]:
    rows = csv.DictReader((folder / "metrics.csv").open())
    return [float(row["train/loss"]) for row in rows if row["train/loss"]]


def assert_same_training(one: Path, other: Path) -> None:
    losses = curve(one), curve(other)
    assert len(losses[0]) == 50
    states = [load(folder / FILE_NAME).state_dict() for folder in (one, other)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    for key, value in states[0].items():
        assert torch.allclose(value, states[1][key], rtol=0, atol=1e-5), key


def test_fifty_steps_in_processes_and_parts_are_those_of_one(tiny, tmp_path) -> None:
    """Also when both divide the batch; the schedule and the averaged weights count steps."""
    command = ["fit", *tiny, *FIFTY, "--model.schedule", "cosine", "--model.warmup_steps", "9"]
    whole = run(*command, root=tmp_path / "whole")
    parts = ["--trainer.accumulate_grad_batches", "2"]
    for name, options in {"parts": parts, "two": [*DDP, "2"], "both": [*DDP, "2", *parts]}.items():
        folder = run(*command, *options, root=tmp_path / name)
        assert_same_training(whole, folder)
        assert json.loads((folder / "run.json").read_text())["steps"] == 50


def test_a_network_with_a_kernel_that_is_not_trained(tiny, tmp_path) -> None:
    """Processes send each other such buffers, bicubic's kernel here, before a step."""
    command = ["fit", *tiny, *FIFTY, "--model.net", "fdnn.models.FDNNDeep"]
    command += ["--model.net.init_args.channels", "4"]
    whole = run(*command, root=tmp_path / "whole")
    assert_same_training(whole, run(*command, *DDP, "2", root=tmp_path / "two"))


NAN_LOSS = """
import torch.distributed
from fdnn.training.losses import MSEKLLoss

class NanLoss(MSEKLLoss):
    steps = 0

    def forward(self, sr, hr):
        terms = super().forward(sr, hr)
        self.steps += 1
        if self.steps == 3 and torch.distributed.get_rank() == 1:
            terms["loss"] = terms["loss"] * float("nan")
        return terms
"""


def test_a_nan_of_one_process_is_skipped_by_all(tiny, tmp_path) -> None:
    (tmp_path / "nan_loss.py").write_text(NAN_LOSS)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    options = ["--model.loss", "nan_loss.NanLoss", "--model.on_nonfinite", "skip", *DDP, "2"]
    done = subprocess.run(
        [sys.executable, TRAIN, "fit", *tiny, *options], capture_output=True, text=True,
        env={**ENV, "PYTHONPATH": path, "FDNN_IMPORTS": "nan_loss"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "gradient is not finite at step 3, the loss is " in done.stderr  # of rank 0
    assert "loss is nan at step 3; its batch: " in done.stderr
    folder = tmp_path / "logs" / "tiny" / "version_0"
    kept = {f"nonfinite_step3_rank{rank}.safetensors" for rank in (0, 1)}
    assert {file.name for file in folder.glob("nonfinite*")} == kept
    record = json.loads((folder / "run.json").read_text())
    assert (record["skipped_steps"], record["steps"]) == (1, 6)
    assert all(torch.isfinite(p).all() for p in load(folder).parameters())


def test_a_signal_to_one_process_ends_all_at_one_step(tiny, tmp_path) -> None:
    options = [*tiny, "--trainer.max_epochs", "100000", "--data.steps_per_epoch", "7"]
    process = subprocess.Popen(
        [sys.executable, TRAIN, "fit", *options, *DDP, "2"], env=ENV,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    checkpoint = tmp_path / "logs/tiny/version_0/checkpoints/last.ckpt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 143, error
    stopped = [line.split("; ")[0] for line in error.splitlines() if "stopped by SIGTERM" in line]
    assert stopped  # the second process may end before it speaks
    assert len(set(stopped)) == 1
    content = torch.load(checkpoint, weights_only=True)
    assert f"after step {content['global_step']}" in stopped[0]


def scores(folder: Path) -> dict:
    return json.loads((folder / "benchmark.json").read_text())["sets"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_processes_part_in_the_end(tiny) -> None:
    """Threads of a group that was left open have aborted a finished training, once in many."""
    assert main(["fit", *tiny, *DDP, "1"]) == 0
    assert not torch.distributed.is_initialized()


def test_scores_do_not_depend_on_the_number_of_processes(tiny, photos, tmp_path) -> None:
    """Five images over two and three processes: none counted twice, none left out."""
    (photos / "photo5.png").unlink()
    save_weights(FDNN(2, channels=4), tmp_path / "weights" / FILE_NAME)
    command = ["test", *tiny, "--ckpt_path", "weights"]
    alone = scores(run(*command, root=tmp_path / "1"))
    assert len(alone["photos"]["images"]) == 5
    for processes in ("2", "3"):
        assert scores(run(*command, *DDP, processes, root=tmp_path / processes)) == alone


def test_more_processes_than_images(tiny, photos, tmp_path) -> None:
    for number in range(1, 6):
        (photos / f"photo{number}.png").unlink()
    save_weights(FDNN(2, channels=4), tmp_path / "weights" / FILE_NAME)
    command = ["test", *tiny, "--ckpt_path", "weights"]
    alone = scores(run(*command, root=tmp_path / "1"))
    assert list(alone["photos"]["images"]) == ["photo0"]
    assert scores(run(*command, *DDP, "2", root=tmp_path / "2")) == alone


def test_processes_that_slurm_starts_share_the_images(tiny, tmp_path) -> None:
    """With the variables that srun sets for two nodes with a task each."""
    save_weights(FDNN(2, channels=4), tmp_path / "weights" / FILE_NAME)
    command = ["test", *tiny, "--ckpt_path", "weights"]
    words = [*command, "--trainer.default_root_dir", str(tmp_path / "several")]
    job = {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "1", "SLURM_NNODES": "2"}
    job |= {"SLURM_JOB_ID": str(free_port()), "SLURM_NODELIST": "127.0.0.1"}
    tasks = [
        subprocess.Popen(
            [sys.executable, TRAIN, *words], stderr=subprocess.PIPE, text=True,
            env={**ENV, **job, "SLURM_LOCALID": "0", "SLURM_NODEID": rank, "SLURM_PROCID": rank},
        )
        for rank in "01"
    ]  # fmt: skip
    for task in tasks:
        errors = task.communicate(timeout=240)[1]
        assert task.returncode == 0, errors
    alone = scores(run(*command, root=tmp_path / "alone"))
    assert scores(tmp_path / "several" / "tiny" / "version_0") == alone


def test_options_are_taken_from_the_launcher(monkeypatch) -> None:
    for key in ("TORCHELASTIC_RUN_ID", "SLURM_NTASKS", "SLURM_JOB_NAME"):
        monkeypatch.delenv(key, raising=False)
    assert nodes.launched() == {}
    with monkeypatch.context() as slurm:
        slurm.setenv("SLURM_NTASKS", "8")
        slurm.setenv("SLURM_NNODES", "2")
        assert nodes.launched() == {"devices": 4, "num_nodes": 2, "strategy": "ddp"}
        slurm.setenv("SLURM_JOB_NAME", "bash")  # a shell on a node, no job
        assert nodes.launched() == {}
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "6")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert nodes.launched() == {"devices": 2, "num_nodes": 3, "strategy": "ddp"}
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    # Not all of the machine's GPUs, which torchrun did not start processes for.
    assert nodes.launched() == {"devices": 1, "num_nodes": 1}


def test_contradicting_the_launcher_is_one_line(tiny, monkeypatch, capsys) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    assert main(["fit", *tiny, "--trainer.devices", "3"]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: --trainer.devices 3 contradicts torchrun or SLURM")


class Node:
    """A torchrun agent with an address of its own on this machine, and its one process."""

    def __init__(self, number: int, port: int, folder: Path, *words: str) -> None:
        self.errors = folder / f"node{number}.err"
        command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
        command += ["--nproc_per_node", "1", "--local_addr", f"127.0.0.{number + 1}"]
        command += ["--rdzv_backend", "c10d", "--rdzv_endpoint", f"127.0.0.1:{port}"]
        with self.errors.open("w") as file:
            self.agent = subprocess.Popen(
                [*command, "--rdzv_id", "test", TRAIN, *words],
                env=ENV, stdout=subprocess.DEVNULL, stderr=file,
            )  # fmt: skip

    def kill(self) -> None:
        """End both at once, as when the machine goes."""
        pid = self.agent.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for process in [pid, *map(int, children)]:
            os.kill(process, signal.SIGKILL)
        self.agent.wait()


def two_nodes(folder: Path, *words: str) -> list[Node]:
    port = free_port()
    return [Node(number, port, folder, *words) for number in range(2)]


def finish(pair: list[Node]) -> None:
    for node in pair:
        assert node.agent.wait(240) == 0, node.errors.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_two_nodes_train_stop_when_one_is_lost_resume_and_test(tiny, tmp_path) -> None:
    logs = tmp_path / "logs" / "tiny"
    pair = two_nodes(tmp_path, "fit", *tiny, "--trainer.max_epochs", "1000")
    deadline = time.monotonic() + 240
    while not (logs / "version_0" / "checkpoints" / "last.previous.ckpt").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    lost, left = pair[1], pair[0]
    lost.kill()
    assert left.agent.wait(60) != 0
    errors = left.errors.read_text()
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, errors
    assert "another process ended or cannot be reached" in lines[0]
    assert "--ckpt_path last" in lines[0]

    checkpoint = torch.load(logs / "version_0" / "checkpoints" / "last.ckpt", weights_only=True)
    epochs = str(checkpoint["epoch"] + 2)
    options = ["--trainer.max_epochs", epochs, "--ckpt_path", "last"]
    finish(two_nodes(tmp_path, "fit", *tiny, *options))
    record = json.loads((logs / "version_1" / "run.json").read_text())
    assert record["steps"] == checkpoint["global_step"] + 3
    assert record["processes"] == 2
    assert "version_0" in record["resumed_from"]

    weights = str(logs / "version_1")
    finish(two_nodes(tmp_path, "test", *tiny, "--ckpt_path", weights))
    assert main(["test", *tiny, "--ckpt_path", weights]) == 0
    assert scores(logs / "version_2") == scores(logs / "version_3")
