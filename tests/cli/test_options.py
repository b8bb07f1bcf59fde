import json
from pathlib import Path

import pytest
import torch
from lightning.pytorch.accelerators import MPSAccelerator

from fdnn.cli.trainer import main
from fdnn.evaluation import metrics


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("precision", "bf16-true"),
        ("precision", "16-true"),
        ("precision", "transformer-engine"),
        ("use_distributed_sampler", "true"),
        ("strategy", "ddp_spawn"),
        ("strategy", "ddp_fork"),
        ("strategy", "fsdp"),
        ("strategy", "deepspeed_stage_2"),
        ("overfit_batches", "1"),
        ("overfit_batches", "0.5"),
        ("accumulate_grad_batches", "0"),
        ("check_val_every_n_epoch", "0"),
        ("val_check_interval", "0"),
        ("enable_checkpointing", "false"),
        ("barebones", "true"),
        ("accelerator", "mps"),
    ],
)
def test_what_cannot_work_is_one_line(tiny, tmp_path, capsys, option, value) -> None:
    assert main(["fit", *tiny, f"--trainer.{option}", value]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: trainer.{option}=")
    assert "does not work here: " in error
    assert error.count("\n") == 1
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("name", ["LBFGS", "SparseAdam"])
def test_optimizers_that_cannot_work(tiny, capsys, name) -> None:
    assert main(["fit", *tiny, "--model.optimizer", f"torch.optim.{name}"]) == 1
    assert capsys.readouterr().err.startswith(f"error: model.optimizer: {name} does not work here")


def test_scores_that_are_no_numbers(tiny, capsys, monkeypatch) -> None:
    monkeypatch.setattr(metrics, "psnr", lambda sr, hr: torch.full((len(sr),), torch.nan).double())
    assert main(["fit", *tiny]) == 1
    assert "error: the network's results are no numbers" in capsys.readouterr().err


def test_apples_gpus_are_left_alone(tiny, monkeypatch) -> None:
    """Lightning would choose them, and could not compute scores there."""
    monkeypatch.setattr(MPSAccelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert main(["fit", *tiny, "--trainer.accelerator", "auto"]) == 0
    assert main(["fit", *tiny, "--trainer.accelerator", "gpu"]) == 1


def test_double_precision_also_with_kernels_that_are_not_trained(tiny, photos) -> None:
    net = ["--model.net", "fdnn.models.FDNNDeep", "--model.net.init_args.channels", "4"]
    options = [*tiny, *net, "--trainer.precision", "64-true"]
    assert main(["fit", *options]) == 0
    options += ["--ckpt_path", "logs/tiny/version_0"]
    assert main(["test", *options]) == 0
    scores = json.loads(Path("logs/tiny/version_1/benchmark.json").read_text())
    assert scores["engine"] == "eager, fp64"
    options += ["--input", str(photos / "photo0.png")]
    assert main(["predict", *options, "--output", "out"]) == 0
    assert Path("out/photo0.png").is_file()


@pytest.mark.parametrize("option", [["precision", "64-true"], ["enable_progress_bar", "false"]])
def test_what_works(tiny, option) -> None:
    bar = ["--trainer.callbacks+", "RichProgressBar", "--trainer.enable_progress_bar", "true"]
    name, value = option
    assert main(["fit", *tiny, *bar, f"--trainer.{name}", value]) == 0
