import pytest
import torch
import wandb
from lightning.fabric.utilities.exceptions import MisconfigurationException

from fdnn.cli.reasons import reason

LACK = (
    "not enough memory; to train, lower --data.batch_size, --data.patch_size or "
    "--data.num_workers, or compute each batch in parts with --trainer.accumulate_grad_batches"
)
KILLED = (
    "DataLoader worker (pid 7) is killed by signal: Killed. "
    "A training goes on with --ckpt_path last."
)


def inside(error: Exception) -> Exception:
    """The error that code of a library makes of one that a signal handler raised in it."""
    try:
        try:
            raise error
        except Exception as caught:
            raise TypeError("unsupported callable") from caught
    except TypeError as other:
        return other


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MisconfigurationException("No such\n device."), "No such device."),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."),
            KILLED,
        ),
        (
            RuntimeError("[gloo/transport/tcp/pair.cc:1] Connection closed. This is typically x"),
            "another process ended or cannot be reached ([gloo/transport/tcp/pair.cc:1] "
            "Connection closed.); see what it said. A training goes on with --ckpt_path last.",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. GPU 0 has x"),
            "not enough memory on the GPU (Tried to allocate 2 GiB); to train, lower "
            "--data.batch_size or compute each batch in parts with "
            "--trainer.accumulate_grad_batches; else use --trainer.accelerator cpu",
        ),
        (wandb.Error("no key."), "W&B: no key. Or go on with --wandb.mode offline, or disabled."),
        (ModuleNotFoundError("Requirement 'x' not\n met."), "Requirement 'x' not met."),
        (ModuleNotFoundError("No module named 'x'"), None),
        (MemoryError("Unable to allocate 745. GiB"), LACK),
        (RuntimeError("Caught MemoryError in DataLoader worker process 0.\nOriginal ..."), LACK),
        (RuntimeError("[enforce fail] . DefaultCPUAllocator: can't allocate memory: x"), LACK),
        (RuntimeError("shapes do not match"), None),
        (KeyError("x"), None),
        (inside(RuntimeError("shapes do not match")), None),
        (inside(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")), KILLED),
    ],
)
def test_reason(error, line) -> None:
    assert reason(error) == line
