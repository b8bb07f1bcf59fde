import pytest

from fdnn.cli import main


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("precision", "bf16-true"),
        ("precision", "16-true"),
        ("precision", "transformer-engine"),
        ("use_distributed_sampler", "true"),
        ("strategy", "ddp_spawn"),
        ("strategy", "ddp_fork"),
        ("overfit_batches", "1"),
        ("overfit_batches", "0.5"),
        ("accumulate_grad_batches", "0"),
        ("check_val_every_n_epoch", "0"),
        ("val_check_interval", "0"),
        ("enable_checkpointing", "false"),
        ("barebones", "true"),
    ],
)
def test_what_cannot_work_is_one_line(tiny, tmp_path, capsys, option, value) -> None:
    assert main(["fit", *tiny, f"--trainer.{option}", value]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: trainer.{option}=")
    assert "does not work here: " in error
    assert error.count("\n") == 1
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("option", [["precision", "64-true"], ["enable_progress_bar", "false"]])
def test_what_works(tiny, option) -> None:
    bar = ["--trainer.callbacks+", "RichProgressBar", "--trainer.enable_progress_bar", "true"]
    name, value = option
    assert main(["fit", *tiny, *bar, f"--trainer.{name}", value]) == 0
