import csv
import errno
import json
import math
import os
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from fdnn.cli.trainer import main
from fdnn.models import FDNN, MSDEPC
from fdnn.models.weights import CKPT_KEY, FILE_NAME, describe, load, save_weights
from fdnn.training import losses
from fdnn.training.checkpoints import SafeCheckpoints, newest_checkpoint
from fdnn.training.module import SuperResolution
from tools.report.records import read_run

CHECKPOINTS = Path("logs/tiny/version_0/checkpoints")
OPTIMIZER = ["--model.optimizer", "torch.optim.Adam"]
#: The network with batch normalisation.
MSDEPC_NET = [
    "--model.net", "fdnn.models.MSDEPC", "--model.net.init_args.channels", "4",
]  # fmt: skip


def run(number: int) -> Path:
    return Path(f"logs/tiny/version_{number}")


def test_the_checkpoint_before_is_kept(tmp_path) -> None:
    io, path = SafeCheckpoints(), tmp_path / "run" / "last.ckpt"
    for step in (1, 2, 3):
        io.save_checkpoint({"step": step}, path)
    assert sorted(p.name for p in path.parent.iterdir()) == ["last.ckpt", "last.previous.ckpt"]
    assert torch.load(path)["step"] == 3
    assert torch.load(path.with_name("last.previous.ckpt"))["step"] == 2


@pytest.mark.parametrize("moment", ["write", "sync"])
def test_a_full_disk_leaves_the_old_checkpoint(tmp_path, monkeypatch, moment) -> None:
    io, path = SafeCheckpoints(), tmp_path / "last.ckpt"
    io.save_checkpoint({"step": 1}, path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if moment == "write":
        opened = Path.open
        monkeypatch.setattr(
            Path, "open", lambda p, *a: full() if p.suffix == ".partial" else opened(p, *a)
        )
    else:
        monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Exception, match=r"No space left.*is the one before"):
        io.save_checkpoint({"step": 2}, path)
    monkeypatch.undo()
    assert torch.load(path)["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_resumes_from_the_newest_intact_checkpoint(tiny, tmp_path, capsys, caplog) -> None:
    assert main(["fit", *tiny]) == 0
    newest = CHECKPOINTS / "last.ckpt"
    newest.write_bytes(newest.read_bytes()[:-1000])
    path, damaged = newest_checkpoint(Path("logs/tiny"))
    assert path.name == "last.previous.ckpt"
    assert "last.ckpt: damaged" in damaged[0]
    # From the end of the first epoch it reaches the same weights again.
    assert main(["fit", *tiny, "--ckpt_path", "last"]) == 0
    assert "last.ckpt: damaged" in caplog.text
    first, again = (load(f"logs/tiny/version_{i}/{FILE_NAME}").state_dict() for i in (0, 1))
    for key, value in first.items():
        assert torch.equal(value, again[key]), key


def test_clocks_do_not_decide_what_is_newest(tmp_path) -> None:
    net, io = FDNN(2, channels=4), SafeCheckpoints()
    state = {f"net.{key}": value for key, value in net.state_dict().items()}

    def write(number: int, name: str, step: int, age: int) -> Path:
        path = tmp_path / f"version_{number}" / "checkpoints" / name
        content = {CKPT_KEY: describe(net), "state_dict": state, "global_step": step}
        io.save_checkpoint(content, path)
        os.utime(path, (2e9 - age, 2e9 - age))
        return path

    (tmp_path / "version_11").mkdir()  # that of a test, say
    write(2, "last.ckpt", 9000, age=0)
    newest = write(10, "last.ckpt", 300, age=500)
    write(10, "last.previous.ckpt", 200, age=100)
    assert newest_checkpoint(tmp_path) == (newest, [])


def test_a_newer_run_without_a_checkpoint_is_named(tiny, tmp_path, capsys, caplog) -> None:
    assert main(["fit", *tiny]) == 0
    run(1).mkdir()
    (run(1) / "run.json").write_text("{}")
    capsys.readouterr()
    assert main(["fit", *tiny, "--trainer.max_epochs", "3", "--ckpt_path", "last"]) == 0
    assert f"{run(1)}: ended before its first checkpoint" in caplog.text
    assert f"going on from {CHECKPOINTS / 'last.ckpt'}" in capsys.readouterr().out


@pytest.mark.parametrize("key", ["global_step", "optimizer_states"])
def test_a_checkpoint_that_lacks_something_is_one_line(tiny, capsys, key) -> None:
    assert main(["fit", *tiny, "--trainer.max_epochs", "1"]) == 0
    content = torch.load(CHECKPOINTS / "last.ckpt", weights_only=True)
    content[key] = [{}] if key == "optimizer_states" else content[key]
    if key == "global_step":
        del content[key]
    torch.save(content, CHECKPOINTS / "last.ckpt")
    assert main(["fit", *tiny, "--ckpt_path", "last"]) == 1
    assert "state of" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("row", [b"\xff\xfe,1\n", b"1," * 30 + b"1\n"])
def test_damaged_metrics_do_not_stop_a_resume(tiny, row) -> None:
    assert main(["fit", *tiny]) == 0
    file = run(0) / "metrics.csv"
    head, _, rest = file.read_bytes().partition(b"\n")
    file.write_bytes(head + b"\n" + row + rest)
    assert main(["fit", *tiny, "--trainer.max_epochs", "3", "--ckpt_path", "last"]) == 0
    assert "val/photos/psnr" in (run(1) / "metrics.csv").read_text()


def test_nothing_intact_is_one_line(tiny, capsys) -> None:
    CHECKPOINTS.mkdir(parents=True)
    (CHECKPOINTS / "last.ckpt").write_bytes(b"PK nonsense")
    assert main(["fit", *tiny, "--ckpt_path", "last"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: nothing to resume")
    assert "damaged" in error
    assert error.count("\n") == 1


@pytest.fixture
def nan_at(monkeypatch):
    """The numbers, from 1, of the batches whose loss is NaN."""
    calls: list[int] = []
    batches: set[int] = set()
    forward = losses.MSEKLLoss.forward

    def sometimes(self, sr, hr):
        calls.append(1)
        terms = forward(self, sr, hr)
        return {**terms, "loss": terms["loss"] * float("nan")} if len(calls) in batches else terms

    monkeypatch.setattr(losses.MSEKLLoss, "forward", sometimes)
    return batches


def test_a_nan_stops_and_keeps_what_there_is(tiny, tmp_path, capsys, nan_at) -> None:
    nan_at.add(5)
    assert main(["fit", *tiny]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: loss is nan at step 5")
    assert error.count("\n") == 1
    checkpoint = torch.load(CHECKPOINTS / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 3
    batch = load_file(tmp_path / "logs/tiny/version_0/nonfinite_step5_rank0.safetensors")
    assert batch["lr"].shape == (4, 1, 8, 8)
    assert batch["hr"].shape == (4, 1, 16, 16)


@pytest.mark.parametrize("optimizer", ["Adam", "fdnn.training.optim.MuonAdam"])
def test_a_nan_can_be_skipped_and_is_counted(tiny, tmp_path, caplog, nan_at, optimizer) -> None:
    nan_at.add(5)
    options = ["--model.on_nonfinite", "skip", "--model.optimizer", optimizer]
    assert main(["fit", *tiny, *options]) == 0
    record = (tmp_path / "logs/tiny/version_0/run.json").read_text()
    assert '"skipped_steps": 1' in record
    assert "1 steps skipped, whose loss or gradient was not finite, see" in caplog.text
    net = load(tmp_path / "logs/tiny/version_0")
    assert all(torch.isfinite(p).all() for p in net.parameters())


OPTIMIZERS = ["Adam", "SGD", "fdnn.training.optim.MuonAdam"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_nan_gradient_of_a_finite_loss_never_reaches_the_weights(
    tiny, monkeypatch, optimizer, capsys
) -> None:
    """Nor the averages, nor the momentum: the next step is as without this one."""
    forward, steps = losses.MSEKLLoss.forward, []

    def sometimes(self, sr, hr):
        terms = forward(self, sr, hr)
        steps.append(1)
        if (
            len(steps) == 3 and self.training
        ):  # the root's derivative is infinite at 0, and 0 times that is NaN
            terms["loss"] = terms["loss"] + (sr * 0).sum().abs().sqrt()
        return terms

    states: list[dict] = []
    step_end = SuperResolution.on_train_batch_end

    def look(self, *args) -> None:
        states.append({
            **{k: v.clone() for k, v in self.net.state_dict().items()},
            **{
                f"{i} {k}": v.clone()
                for i, values in self.optimizers().state_dict()["state"].items()
                for k, v in values.items() if isinstance(v, torch.Tensor)
            },
        })  # fmt: skip
        step_end(self, *args)

    monkeypatch.setattr(losses.MSEKLLoss, "forward", sometimes)
    monkeypatch.setattr(SuperResolution, "on_train_batch_end", look)
    options = ["--model.optimizer", optimizer]
    if optimizer == "SGD":
        options += ["--model.optimizer.lr", "0.001", "--model.optimizer.momentum", "0.9"]
    assert main(["fit", *tiny, *options, "--model.on_nonfinite", "skip"]) == 0
    assert '"skipped_steps": 1' in (run(0) / "run.json").read_text()
    assert all(torch.equal(value, states[1][key]) for key, value in states[2].items())
    assert not all(torch.equal(value, states[2][key]) for key, value in states[3].items())
    assert all(torch.isfinite(value).all() for value in states[-1].values())
    steps.clear()
    assert main(["fit", *tiny, *options]) == 1
    assert "gradient is not finite at step 3, the loss is " in capsys.readouterr().err


def test_losses_that_stay_nan_end_the_run(tiny, tmp_path, capsys, nan_at) -> None:
    nan_at |= {2, *range(4, 99)}
    options = ["--model.on_nonfinite", "skip", "--trainer.max_epochs", "9"]
    assert main(["fit", *tiny, *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: loss is nan at step 13; its batch: ")
    assert "the 9 steps before were skipped too" in error
    assert len(list((tmp_path / "logs/tiny/version_0").glob("nonfinite*"))) == 11


def test_an_epoch_is_whole_after_one_that_max_steps_cut(tiny) -> None:
    assert main(["fit", *tiny, "--trainer.max_steps", "4"]) == 0
    assert main(["fit", *tiny, "--trainer.max_epochs", "4", "--ckpt_path", "last"]) == 0
    steps = [step for step, _ in read_run(run(1)).curve]
    # Lightning counts the second epoch, of one step, among the four.
    assert steps[:3] == [2, 6, 9]


def test_checkpoints_in_folders_of_their_own_are_found(tiny) -> None:
    """As names of ours, which have a slash, make them: ``filename: "{val/photos/psnr}"``."""
    assert main(["fit", *tiny]) == 0
    deeper = CHECKPOINTS / "val" / "photos"
    deeper.mkdir(parents=True)
    (CHECKPOINTS / "last.ckpt").rename(deeper / "psnr=30.ckpt")
    for old in CHECKPOINTS.glob("*.ckpt"):
        old.unlink()
    assert newest_checkpoint(Path("logs/tiny")) == (deeper / "psnr=30.ckpt", [])


def test_interrupted_and_resumed_equals_uninterrupted(tiny, tmp_path) -> None:
    rising = ["--model.warmup_steps", "9"]  # so that the schedule's place matters
    assert main(["fit", *tiny, *rising, "--trainer.max_epochs", "4"]) == 0
    assert main(["fit", *tiny, *rising, "--trainer.max_epochs", "2"]) == 0
    assert main(["fit", *tiny, *rising, "--trainer.max_epochs", "4", "--ckpt_path", "last"]) == 0
    whole, resumed = (load(run(i) / FILE_NAME).state_dict() for i in (0, 2))
    for key, value in whole.items():
        assert torch.equal(value, resumed[key]), key
    record = json.loads((run(2) / "run.json").read_text())
    assert "version_1" in record["resumed_from"]
    # Its config is that of the run, and not of this one command.
    assert yaml.safe_load((run(2) / "config.yaml").read_text())["ckpt_path"] is None


def test_what_a_resumed_run_changes_is_said_and_kept(tiny, caplog) -> None:
    assert main(["fit", *tiny]) == 0
    assert main(["fit", *tiny, "--trainer.max_epochs", "3", "--ckpt_path", "last"]) == 0
    assert "goes on at step" not in caplog.text
    other = ["--seed_everything", "7", "--data.batch_size", "3"]
    assert main(["fit", *tiny, *other, "--trainer.max_epochs", "4", "--ckpt_path", "last"]) == 0
    assert "goes on at step 9 with seed=7 (before: 0), batch_size=3 (before: 4)" in caplog.text
    # The next run has nothing changed, and yet knows of it.
    assert main(["fit", *tiny, *other, "--trainer.max_epochs", "5", "--ckpt_path", "last"]) == 0
    records = [json.loads((run(i) / "run.json").read_text()) for i in range(4)]
    changed = [{"step": 9, "seed": [0, 7], "batch_size": [4, 3]}]
    assert [record["changed"] for record in records] == [[], [], changed, changed]


def test_another_average_is_said(tiny, caplog) -> None:
    assert main(["fit", *tiny]) == 0
    config = Path("tiny.yaml").read_text()
    assert config.count("decay: 0.5") == 1
    Path("tiny.yaml").write_text(config.replace("decay: 0.5", "decay: 0.9"))
    more = ["--trainer.max_epochs", "3", "--ckpt_path", "last"]
    assert main(["fit", *tiny, *more]) == 0
    assert "with averages=[[0.9, 0]] (before: [[0.5, 0]])" in caplog.text


def test_a_cosine_that_ends_elsewhere_is_said(tiny, caplog) -> None:
    cosine = ["--model.schedule", "cosine"]
    assert main(["fit", *tiny, *cosine]) == 0
    more = ["--trainer.max_epochs", "4", "--ckpt_path", "last"]
    assert main(["fit", *tiny, *cosine, *more]) == 0
    assert "goes on at step 6 with max_epochs=4 (before: 2)" in caplog.text


def test_changed_options_of_the_optimizer_are_named(tiny, caplog) -> None:
    adam = ["--model.optimizer", "Adam", "--model.optimizer.betas"]
    assert main(["fit", *tiny, *adam, "[0.9,0.99]"]) == 0
    more = ["--trainer.max_epochs", "3", "--ckpt_path", "last"]
    assert main(["fit", *tiny, *adam, "[0.9,0.99]", *more]) == 0
    assert "of the optimizer stays" not in caplog.text
    assert main(["fit", *tiny, *adam, "[0.8,0.99]", *more]) == 0
    said = "betas=[0.9, 0.99] of the optimizer stays, with which the run began, not [0.8, 0.99]"
    assert said in caplog.text


@pytest.mark.parametrize("change", ["new", "gone"])
def test_another_pytorchs_optimizer_goes_on(tiny, caplog, change) -> None:
    """Whose optimizers have an option more or less."""
    assert main(["fit", *tiny]) == 0
    content = torch.load(CHECKPOINTS / "last.ckpt", weights_only=True)
    (group,) = content["optimizer_states"][0]["param_groups"]
    if change == "new":
        del group["decoupled_weight_decay"]
    else:
        group["forgotten"] = True
    torch.save(content, CHECKPOINTS / "last.ckpt")
    assert main(["fit", *tiny, "--trainer.max_epochs", "3", "--ckpt_path", "last"]) == 0
    assert "of the optimizer stays" not in caplog.text


@pytest.mark.parametrize("callbacks", ["[]", "{class_path: fdnn.training.callbacks.Throughput}"])
def test_the_last_state_is_kept_whichever_callbacks_are_given(tiny, callbacks) -> None:
    assert main(["fit", *tiny, "--trainer.callbacks", callbacks]) == 0
    checkpoint = torch.load(CHECKPOINTS / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 6


def test_a_finished_run_resumed_is_the_same(tiny, tmp_path, caplog) -> None:
    save_weights(FDNN(2, channels=4), tmp_path / "begin" / FILE_NAME)
    assert main(["fit", *tiny, "--model.start", "begin"]) == 0
    assert main(["fit", *tiny, "--model.start", "begin", "--ckpt_path", "last"]) == 0
    first, again = (load(run(i) / FILE_NAME).state_dict() for i in (0, 1))
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    records = [json.loads((run(i) / "run.json").read_text()) for i in (0, 1)]
    assert records[0]["started_from"]["path"] == f"begin/{FILE_NAME}"
    assert records[1]["started_from"] == records[0]["started_from"]
    # Its folder has no checkpoint, as it made no step: that is no fault of a later one.
    more = ["--trainer.max_epochs", "3", "--ckpt_path", "last"]
    assert main(["fit", *tiny, "--model.start", "begin", *more]) == 0
    assert "ended before" not in caplog.text
    assert json.loads((run(2) / "run.json").read_text())["steps"] == 9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.net.init_args.channels", "5"], "weights are for FDNN(scale=2, channels=4"),
        (["--model.optimizer", "fdnn.training.optim.MuonAdam"], "another optimizer than MuonAdam"),
        (["--model.optimizer", "RAdam"], "another optimizer than RAdam"),
        (["--ckpt_path", "bare.ckpt"], "--model.start begins with them"),
        (["--trainer.max_epochs", "1"], "has 2 epochs behind it; set --trainer.max_epochs higher"),
    ],
)
def test_what_training_cannot_go_on_from(tiny, tmp_path, capsys, options, message) -> None:
    assert main(["fit", *tiny]) == 0
    last = run(0) / "checkpoints" / "last.ckpt"
    content = torch.load(last, weights_only=True)
    torch.save({k: content[k] for k in (CKPT_KEY, "state_dict")}, tmp_path / "bare.ckpt")
    assert main(["fit", *tiny, "--ckpt_path", "last", *options]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error


@pytest.mark.parametrize("inside", [False, True])
def test_other_parts_of_a_step_only_begin_with_an_epoch(tiny, stop_after, capsys, inside) -> None:
    if inside:
        stop_after(1)
    assert main(["fit", *tiny, "--trainer.max_epochs", "1"]) == (143 if inside else 0)
    parts = ["--trainer.accumulate_grad_batches", "2", "--ckpt_path", "last"]
    assert main(["fit", *tiny, *parts]) == inside
    if inside:
        assert "cannot go on with 2 before the epoch ends" in capsys.readouterr().err


def test_batches_that_are_no_whole_steps_are_refused(tiny, capsys) -> None:
    options = ["--trainer.accumulate_grad_batches", "2", "--trainer.limit_train_batches", "5"]
    assert main(["fit", *tiny, *options]) == 1
    assert "leaves 5 batches an epoch" in capsys.readouterr().err
    assert main(["fit", *tiny, *options[:2], "--trainer.fast_dev_run", "true"]) == 0


def test_a_checkpoint_of_an_own_name_is_found(tiny) -> None:
    own = "lightning.pytorch.callbacks.ModelCheckpoint"
    options = ["--trainer.callbacks", own, "--trainer.callbacks.init_args.filename", "mine"]
    assert main(["fit", *tiny, *options]) == 0
    assert (run(0) / "checkpoints" / "mine.ckpt").is_file()
    assert not (run(0) / "checkpoints" / "last.ckpt").exists()
    assert main(["fit", *tiny, *options, "--ckpt_path", "last"]) == 0


def test_a_checkpoint_of_every_step_keeps_the_row_of_its_own(tiny) -> None:
    """Lightning logs the step after it was saved."""
    own = "lightning.pytorch.callbacks.ModelCheckpoint"
    options = ["--trainer.callbacks", own, "--trainer.callbacks.init_args.every_n_train_steps", "1"]
    options += ["--trainer.callbacks.init_args.save_top_k", "-1"]
    options += ["--trainer.callbacks.init_args.filename", "{step}"]
    assert main(["fit", *tiny, *options]) == 0
    for step in (1, 2, 3, 4, 6):
        checkpoint = str(CHECKPOINTS / f"step={step}.ckpt")
        assert main(["fit", *tiny, *options, "--ckpt_path", checkpoint]) == 0
    curves = []
    for number in range(6):
        rows = csv.DictReader((run(number) / "metrics.csv").open())
        curves.append([(row["step"], row["train/loss"]) for row in rows if row["train/loss"]])
    assert [step for step, _ in curves[0]] == list("012345")
    assert all(curve == curves[0] for curve in curves)


def test_a_checkpoint_in_the_folder_one_is_in(tiny, tmp_path) -> None:
    assert main(["fit", *tiny, "--trainer.max_epochs", "1"]) == 0
    shutil.copy(run(0) / "checkpoints" / "last.ckpt", tmp_path / "last.ckpt")
    assert main(["fit", *tiny, "--ckpt_path", "last.ckpt"]) == 0
    assert json.loads((run(1) / "run.json").read_text())["steps"] == 6


def test_a_resumed_run_takes_the_configs_learning_rate(tiny, tmp_path) -> None:
    assert main(["fit", *tiny]) == 0
    slower = ["--trainer.max_epochs", "3", "--model.optimizer.init_args.lr", "0.0001"]
    assert main(["fit", *tiny, *OPTIMIZER, *slower, "--ckpt_path", "last"]) == 0
    folder = tmp_path / "logs/tiny/version_1"
    checkpoint = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["optimizer_states"][0]["param_groups"][0]["lr"] == 0.0001


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_damaged_record_does_not_stop_a_resume(tiny, tmp_path, content) -> None:
    assert main(["fit", *tiny]) == 0
    (tmp_path / "logs/tiny/version_0/run.json").write_text(content)
    more = ["--trainer.max_epochs", "3", "--wandb.mode", "offline", "--ckpt_path", "last"]
    assert main(["fit", *tiny, *more]) == 0


def test_an_impossible_learning_rate_is_one_line(tiny, capsys) -> None:
    assert main(["fit", *tiny, *OPTIMIZER, "--model.optimizer.init_args.lr", "-1"]) == 1
    assert capsys.readouterr().err.startswith("error: model.optimizer: Invalid learning rate: -1")


def test_all_micro_batches_of_a_step_are_kept_and_count_once(tiny, tmp_path, nan_at) -> None:
    nan_at |= {3, 4}
    accumulate = ["--trainer.accumulate_grad_batches", "2", "--model.on_nonfinite", "skip"]
    assert main(["fit", *tiny, *accumulate]) == 0
    folder = tmp_path / "logs/tiny/version_0"
    assert '"skipped_steps": 1' in (folder / "run.json").read_text()
    (file,) = folder.glob("nonfinite*")
    assert file.name == "nonfinite_step2_rank0.safetensors"
    assert load_file(file)["lr"].shape == (4, 1, 8, 8)


def test_a_skipped_batch_leaves_no_statistics(tiny, tmp_path, monkeypatch) -> None:
    forward = MSDEPC.forward
    passes, before = [], {}

    def sometimes(self, lr):
        if self.training:
            passes.append(1)
            if len(passes) == 5:
                before.update({k: v.clone() for k, v in self.state_dict().items()})
                return forward(self, lr * float("nan"))
            if len(passes) == 6:
                assert all(torch.equal(v, before[k]) for k, v in self.state_dict().items())
        return forward(self, lr)

    monkeypatch.setattr(MSDEPC, "forward", sometimes)
    assert main(["fit", *tiny, *MSDEPC_NET, "--model.on_nonfinite", "skip"]) == 0
    assert before
    assert '"skipped_steps": 1' in (tmp_path / "logs/tiny/version_0/run.json").read_text()
    state = load(tmp_path / "logs/tiny/version_0").state_dict()
    assert all(torch.isfinite(value).all() for value in state.values())


@pytest.mark.parametrize("what", ["parameters", "buffers"])
def test_no_checkpoint_of_broken_weights(tiny, tmp_path, capsys, monkeypatch, what) -> None:
    def spoil(self: SuperResolution) -> None:
        if self.current_epoch == 1:
            values = dict(getattr(self.net, f"named_{what}")())
            with torch.no_grad():
                next(v for k, v in values.items() if k in self.net.state_dict()).fill_(math.inf)

    monkeypatch.setattr(SuperResolution, "on_train_epoch_end", spoil, raising=False)
    assert main(["fit", *tiny, *MSDEPC_NET]) == 1
    assert "weights are not finite after step 6" in capsys.readouterr().err
    assert torch.load(CHECKPOINTS / "last.ckpt", weights_only=True)["global_step"] == 3
    shutil.rmtree("logs")
