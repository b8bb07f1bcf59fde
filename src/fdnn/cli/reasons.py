"""What errors of the libraries mean to a user of the command line."""

from __future__ import annotations

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from fdnn.files.errors import words
from fdnn.training.distributed import lost_process

#: How a lack of the processor's memory is said by PyTorch, and by its loader of a worker's.
NO_MEMORY = ("can't allocate memory", "Caught MemoryError", "ArrayMemoryError")


def reason(error: Exception) -> str | None:
    """Say in a line what was wrong, and how to mend it or go on.

    Args:
        error: Anything that a subcommand raised.

    Returns:
        The line, or ``None`` if nothing that the user gave is known to cause such an error.
    """
    text = words(error)
    if isinstance(error, MisconfigurationException):
        return text
    if isinstance(error, ModuleNotFoundError) and "Requirement" in text:
        return text  # what Lightning says of a package that an option of its own needs
    if isinstance(error, ValueError) and "`val_check_interval`" in text:
        return text
    if isinstance(error, MemoryError) or any(lack in text for lack in NO_MEMORY):
        return (
            "not enough memory; to train, lower --data.batch_size, --data.patch_size or "
            "--data.num_workers, or compute each batch in parts with "
            "--trainer.accumulate_grad_batches"
        )
    if isinstance(error, torch.OutOfMemoryError):
        tried = text.partition(". ")[2].partition(". ")[0] or text
        return (
            f"not enough memory on the GPU ({tried}); to train, lower --data.batch_size or compute "
            "each batch in parts with --trainer.accumulate_grad_batches; else use "
            "--trainer.accelerator cpu"
        )
    # So does Lightning call a wrong name in a config.
    if isinstance(error, RuntimeError) and "Early stopping conditioned on metric" in text:
        return text
    lost = lost_worker(error) or (isinstance(error, RuntimeError) and lost_process(error))
    if lost:
        return f"{lost} A training goes on with --ckpt_path last."
    # wandb is not imported before it is used; its errors are known by where they are from.
    if type(error).__module__.partition(".")[0] == "wandb":
        return f"W&B: {text} Or go on with --wandb.mode offline, or disabled."
    return None


def lost_worker(error: BaseException | None) -> str | None:
    """Say it in a line if an error comes of the end of a worker that loads the data.

    PyTorch's loader raises it from a signal handler, so in whatever code runs just then, and that
    code may make another error of it.
    """
    while error is not None:
        text = words(error)
        if isinstance(error, RuntimeError) and "DataLoader worker" in text:
            return text
        error = error.__cause__ or error.__context__
    return None
