"""The folder of a training run: where it is, its checkpoints, and what goes wrong with them."""

from __future__ import annotations

import io
import logging
import os
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from safetensors.torch import save
from torch.optim import Optimizer

from fdnn.files.atomic import replacing
from fdnn.files.errors import UserError
from fdnn.files.provenance import RECORD_NAME
from fdnn.models import Network
from fdnn.models.weights import FILE_NAME, check_network, read_weights

log = logging.getLogger(__name__)

LAST = "last.ckpt"
#: Key of a ``.ckpt`` for the micro-batches of a step.
ACCUMULATION_KEY = "accumulate_grad_batches"
#: Key of a ``.ckpt`` for the name of the optimizer's class.
OPTIMIZER_KEY = "optimizer"


def run_folder(trainer: pl.Trainer) -> Path:
    """Return the folder of this run's logs, the first logger's; without one the Trainer's root.

    Unlike ``Trainer.log_dir`` this waits for no other process.
    :class:`fdnn.training.callbacks.RunRecord` has told all processes the folder's number.
    """
    logger = trainer.logger
    folder = getattr(logger, "log_dir", None) or getattr(logger, "save_dir", None)
    return Path(folder or trainer.default_root_dir)


class SafeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints so that an intact one exists at any moment.

    A checkpoint is written to another file, synchronised with the disk, and renamed. The one before
    stays as ``NAME.previous.ckpt``.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write the file, see the class."""
        if "://" in str(path):  # a remote file system replaces whole objects by itself
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target = Path(path)
        partial = target.with_name(target.name + ".partial")
        content = io.BytesIO()
        torch.save(checkpoint, content)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                target.replace(target.with_name(f"{target.stem}.previous.ckpt"))
            partial.replace(target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            kept = f"; {target} is the one before" if target.exists() else ""
            raise UserError(
                f"checkpoint cannot be written to {target} ({error.strerror or error}); make room "
                f"or choose another --trainer.default_root_dir, then --ckpt_path last{kept}"
            ) from None


def _folders(root: Path) -> list[Path]:
    """List the folders of a config's runs, the newest first."""
    found = [p for p in root.glob("version_*") if p.name.removeprefix("version_").isdigit()]
    return sorted(found, key=lambda p: int(p.name.removeprefix("version_")), reverse=True)


def newest_checkpoint(root: Path) -> tuple[Path, list[str]]:
    """Find the newest checkpoint below a run's folder that can be read.

    It has the most steps in the folder with the highest number. File times do not count.

    Returns:
        The file, and what is wrong with newer ones or newer runs, a line each.

    Raises:
        UserError: If there is none.
    """
    damaged: list[str] = []
    for folder in _folders(root):
        intact, known = [], len(damaged)
        for path in sorted(folder.glob("checkpoints/**/*.ckpt")):
            try:
                read_weights(path)
                steps = torch.load(path, map_location="cpu", weights_only=True)["global_step"]
            except UserError as error:
                damaged.append(str(error))
            except KeyError:
                damaged.append(f"{path}: holds no state of a training")
            else:
                intact.append((steps, path))
        begun, finished = ((folder / name).is_file() for name in (RECORD_NAME, FILE_NAME))
        # One that was finished without a checkpoint had no step to make: it went on from another's.
        if not intact and len(damaged) == known and begun and not finished:
            damaged.append(f"{folder}: ended before its first checkpoint")
        if intact:
            return max(intact, key=lambda each: (each[0], each[1].name == LAST))[1], damaged
    reason = "; ".join(damaged) or f"no {LAST} below {root}"
    raise UserError(f"nothing to resume: {reason}; leave --ckpt_path out to start anew")


def check_resumable(
    path: Path,
    net: Network,
    optimizer: Optimizer,
    accumulation_steps: int,
    epochs: int | None = None,
) -> int:
    """Check that a training can go on from a checkpoint.

    Of the optimizer, the learning rates alone may change; a warning names other changes, which
    have no effect.

    Args:
        path: A Lightning ``.ckpt``.
        net: The network that is to be trained.
        optimizer: Of its parameters.
        accumulation_steps: Micro-batches of a step.
        epochs: ``max_epochs``; -1 or None without end.

    Returns:
        The optimizer steps that it has made.

    Raises:
        UserError: If the checkpoint holds weights alone, is of another network or optimizer, or
            from inside an epoch with other accumulation steps, or has more epochs than ``epochs``.
    """
    description, _ = read_weights(path)
    check_network(net, description, path)
    content = torch.load(path, map_location="cpu", weights_only=True)
    states = content.get("optimizer_states")
    if not states or "param_groups" not in states[0] or "loops" not in content:
        raise UserError(
            f"{path}: holds weights, but no state of their training; --model.start begins with them"
        )
    done = content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    if epochs is not None and 0 <= epochs < done:
        raise UserError(f"{path}: has {done} epochs behind it; set --trainer.max_epochs higher")
    before = content.get(ACCUMULATION_KEY, accumulation_steps)
    if before != accumulation_steps and not _at_an_epochs_end(content):
        raise UserError(
            f"{path}: was written inside an epoch with accumulate_grad_batches={before}, and "
            f"cannot go on with {accumulation_steps} before the epoch ends"
        )
    name, groups = type(optimizer).__name__, states[0]["param_groups"]
    sizes = [[len(group["params"]) for group in each] for each in (groups, optimizer.param_groups)]
    if content.get(OPTIMIZER_KEY, name) != name or sizes[0] != sizes[1]:
        raise UserError(
            f"{path}: is of a run with another optimizer than {name}; go on with the config that "
            "began it"
        )
    # Only what both know: another version of PyTorch may have added or dropped an option.
    own = {"params", "lr", "initial_lr", "fused"}
    for group, begun in zip(optimizer.param_groups, groups, strict=True):
        for option in sorted((group.keys() & begun.keys()) - own):
            here, there = (
                list(value) if isinstance(value, tuple) else value
                for value in (group[option], begun[option])
            )
            if here != there:
                log.warning(
                    "%s=%s of the optimizer stays, with which the run began, not %s",
                    option,
                    there,
                    here,
                )
    return int(content["global_step"])


def _at_an_epochs_end(checkpoint: dict[str, Any]) -> bool:
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    return bool(progress["is_last_batch"])


def keep_batch(trainer: pl.Trainer, step: int) -> Path:
    """Write this process's patches of a step into the run's folder, to be looked at.

    Args:
        trainer: Of the run.
        step: Optimizer steps before it. A batch is a function of this number and the seed.

    Returns:
        The safetensors file, with entries ``lr`` ``(n, 1, h, w)`` and ``hr``.
    """
    patches: Any = trainer.train_dataloader.dataset  # type: ignore[union-attr]
    count = trainer.accumulate_grad_batches
    micro_batches = [patches[step * count + i] for i in range(count)]
    lr, hr = (torch.cat([batch[i] for batch in micro_batches]) for i in (0, 1))
    file = run_folder(trainer) / f"nonfinite_step{step + 1}_rank{trainer.global_rank}.safetensors"
    with replacing(file) as temporary:
        temporary.write_bytes(save({"lr": lr.contiguous(), "hr": hr.contiguous()}))
    return file
