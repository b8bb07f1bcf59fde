"""A training step leaves tensors on their device; only logging steps read any."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fdnn.cli.trainer import main
from fdnn.training.callbacks import Throughput

READS = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default}


class Counting(TorchDispatchMode):
    """Counts the operations that bring a number to the host."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.reads += func in READS
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("optimizer", ["Adam", "fdnn.training.optim.MuonAdam"])
def test_no_tensor_is_read_outside_of_logging_steps(tiny, monkeypatch, optimizer) -> None:
    mode = Counting()
    start = Throughput.on_train_batch_start
    #: Reads before the start of each step.
    before: list[int] = []

    def counted(self: Throughput, *args: Any) -> None:
        before.append(mode.reads)
        start(self, *args)

    monkeypatch.setattr(Throughput, "on_train_batch_start", counted)
    config = Path("tiny.yaml")
    text = config.read_text().replace("every: 1", "every: 50")
    bar = "- class_path: fdnn.training.callbacks.TrainingProgress\n"
    config.write_text(text.replace("  callbacks:\n", f"  callbacks:\n  {bar}"))
    options = ["--data.steps_per_epoch", "120", "--trainer.max_epochs", "1"]
    options += ["--trainer.log_every_n_steps", "50", "--trainer.gradient_clip_val", "1"]
    options += ["--model.optimizer", optimizer, "--trainer.enable_progress_bar", "true"]
    with mode:
        assert main(["fit", *tiny, *options]) == 0
    assert len(before) == 120
    reading = [step for step in range(1, 120) if before[step] > before[step - 1]]
    assert reading == [50, 100]
