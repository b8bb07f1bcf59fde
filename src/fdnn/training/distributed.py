"""Processes started by torchrun or SLURM, and what the end of one of them means to the others."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

from fdnn.files.errors import UserError

#: What errors of collective operations say when a process is gone: gloo's, then NCCL's.
_GONE = ("gloo/transport", "ncclRemoteError", "NCCL communicator was aborted", "operation timeout")


def launched() -> dict[str, Any]:
    """Return the Trainer's options ``devices``, ``num_nodes`` and ``strategy`` as launched.

    Empty without a launcher. One process alone has no strategy, and one device.
    """
    env = os.environ
    if torch.distributed.is_available() and torch.distributed.is_torchelastic_launched():
        world, here = int(env["WORLD_SIZE"]), int(env["LOCAL_WORLD_SIZE"])
        nodes = world // here
    elif SLURMEnvironment.detect():
        world, nodes = int(env["SLURM_NTASKS"]), int(env.get("SLURM_NNODES", 1))
        here = world // nodes
    else:
        return {}
    return {"devices": here, "num_nodes": nodes} | ({"strategy": "ddp"} if world > 1 else {})


def trainer_options(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of :func:`launched` that were not asked for.

    Args:
        asked: The Trainer's options from config and command line.

    Raises:
        UserError: If the launcher started other numbers of nodes or devices than asked for.
    """
    unset = {"devices": "auto", "num_nodes": 1, "strategy": "auto"}
    options = launched()
    for key, value in list(options.items()):
        if asked[key] == unset[key]:
            continue
        if str(asked[key]).isdigit() and int(asked[key]) != value:
            raise UserError(
                f"--trainer.{key} {asked[key]} contradicts torchrun or SLURM, which says {value}; "
                "leave it out"
            )
        del options[key]
    return options


def leave_group() -> None:
    """End the process group, if there is one.

    Threads of an open group can abort the interpreter at its end. The launcher would then report a
    failure.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def lost_process(error: RuntimeError) -> str | None:
    """Return a line if an error means that another process cannot be reached."""
    kinds = (torch.distributed.DistNetworkError, torch.distributed.DistStoreError)
    if not isinstance(error, kinds) and not any(sign in str(error) for sign in _GONE):
        return None
    reason = " ".join(str(error).partition("This is typically")[0].split())
    return f"another process ended or cannot be reached ({reason}); see what it said."
