"""Where a run's numbers go: its folder always, and Weights & Biases as asked."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lightning.pytorch.loggers import Logger, WandbLogger

from fdnn.files.provenance import RECORD_NAME
from fdnn.training.logs import RunLogger

log = logging.getLogger(__name__)


@dataclass
class Wandb:
    """Weights & Biases logging.

    Attributes:
        mode: offline writes a run to the log folder, which ``wandb sync`` can send later;
            online sends it as it goes and needs an account; disabled does neither.
        project: Project to log to.
        group: Groups runs on the dashboard.
        name: Name of the run; default: that of the log folder.
        id: Goes on with the run of this id. A resumed ``fit`` goes on with its own by itself.
        strips: Pictures of so many images of each set in the table of a ``test``.
    """

    mode: Literal["offline", "online", "disabled"] = "offline"
    project: str = "fdnn"
    group: str | None = None
    name: str | None = None
    id: str | None = None
    strips: int = 5


def run_loggers(
    root: str, name: str, command: str, options: Wandb, checkpoint: str | None
) -> list[Logger]:
    """Make the loggers of a run; the first one's folder is the run's folder.

    Args:
        root: Folder of all runs.
        name: Of the run's config.
        command: The subcommand.
        options: Of W&B.
        checkpoint: What a ``fit`` goes on from: so does its W&B run.
    """
    csv = RunLogger(root, name=name)
    if options.mode == "disabled" or os.getenv("WANDB_MODE") == "disabled":
        return [csv]
    wandb = WandbLogger(
        name=options.name or f"{name}/{Path(csv.log_dir).name}",
        project=options.project,
        group=options.group,
        # wandb writes in a process of its own, which keeps the folder that it was started in.
        save_dir=Path(root).resolve(),
        offline=options.mode == "offline",
        id=options.id or (_wandb_id(checkpoint) if checkpoint else None),
        resume="allow",
        job_type=command,
    )
    # Lightning always passes on this setting, about which wandb then warns.
    wandb._wandb_init.pop("anonymous", None)
    return [csv, wandb]


def _wandb_id(checkpoint: str) -> str | None:
    """Find the W&B run of the training that a checkpoint is of."""
    record = Path(checkpoint).parent.parent / RECORD_NAME
    if not record.is_file():
        return None
    try:
        found: str | None = json.loads(record.read_text(encoding="utf-8")).get("wandb_id")
    except (OSError, ValueError, AttributeError):
        log.warning("%s is damaged; W&B begins a new run", record)
        return None
    return found
