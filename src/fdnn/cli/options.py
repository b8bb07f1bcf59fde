"""Options of Lightning's Trainer that would give wrong numbers here, or that cannot work."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch import Callback
from lightning.pytorch.accelerators import MPSAccelerator
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    BatchSizeFinder,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelPruning,
)

from fdnn.files.errors import UserError

#: Callbacks that cannot work here, and why.
REFUSED: dict[type[Callback], str] = {
    BackboneFinetuning: "the networks have no backbone; --model.start takes trained weights",
    BatchSizeFinder: "data.batch_size is that of all processes, and decides the result",
    GradientAccumulationScheduler: "it would change the batch while training; use "
    "--trainer.accumulate_grad_batches",
    LearningRateFinder: "it cannot set the rate of an optimizer that the config names; set "
    "--model.optimizer.init_args.lr",
    ModelPruning: "it cannot flatten kernels whose channels lie last in memory",
}


def check_options(trainer: Mapping[str, Any]) -> None:
    """Refuse them, each with what to use instead.

    Args:
        trainer: The Trainer's options from config and command line.

    Raises:
        UserError: If there is one.
    """
    precision, strategy = str(trainer["precision"]), str(trainer["strategy"]).lower()
    interval = trainer["val_check_interval"]
    every = trainer["check_val_every_n_epoch"]
    accelerator = str(trainer["accelerator"])
    refused = {
        "accelerator": (
            accelerator == "mps" or (accelerator == "gpu" and MPSAccelerator.is_available()),
            "scores need float64, which Apple's GPUs lack; use cpu",
        ),
        # They round the weights themselves, in evaluation too, whose records say fp32.
        "precision": (
            precision in {"16-true", "bf16-true"} or "transformer-engine" in precision,
            "use 16-mixed or bf16-mixed, and in test --model.engine_precision",
        ),
        "use_distributed_sampler": (
            trainer["use_distributed_sampler"] is True,
            "it would leave images out; this program shares them out itself",
        ),
        # The latter two share the weights out, and write checkpoints of their own kind.
        "strategy": (
            any(kind in strategy for kind in ("spawn", "fork", "fsdp", "deepspeed")),
            "use ddp",
        ),
        "overfit_batches": (
            trainer["overfit_batches"] != 0,
            "name a small folder in data.train_sets instead",
        ),
        "accumulate_grad_batches": (trainer["accumulate_grad_batches"] < 1, "at least 1"),
        "gradient_clip_val": ((trainer["gradient_clip_val"] or 0) < 0, "at least 0"),
        "check_val_every_n_epoch": (every is not None and every < 1, "at least 1"),
        "val_check_interval": (
            isinstance(interval, int | float) and interval <= 0,
            "above 0: a part of an epoch, or a number of steps",
        ),
        "enable_checkpointing": (
            trainer["enable_checkpointing"] is False,
            "runs keep their last checkpoint, to go on from",
        ),
        "barebones": (trainer["barebones"] is True, "runs keep a record, and checkpoints"),
    }
    for name, (wrong, remedy) in refused.items():
        if wrong:
            raise UserError(f"trainer.{name}={trainer[name]} does not work here: {remedy}")


def check_values(values: Mapping[str, Any], part: str, kind: type) -> None:
    """Refuse an option that has no value but needs one, such as ``batch_size:`` in a config.

    Args:
        values: Options by name.
        part: What they are options of, as configs call it.
        kind: The class that takes them.

    Raises:
        UserError: If there is one.
    """
    for name, option in inspect.signature(kind).parameters.items():
        if values.get(name, "absent") is None and option.default is not None:
            raise UserError(f"{part}.{name} has no value; give one, or delete it from the config")


def check_callbacks(callbacks: Sequence[Callback]) -> None:
    """Refuse those that cannot work.

    Raises:
        UserError: If there is one.
    """
    for callback in callbacks:
        for kind, why in REFUSED.items():
            if isinstance(callback, kind):
                raise UserError(f"{kind.__name__} does not work here: {why}")
