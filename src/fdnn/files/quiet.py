"""Libraries' remarks that no user of this program can act on."""

from __future__ import annotations

import logging
import os
import warnings


def quiet_libraries() -> None:
    """Silence them, for the whole process."""
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        "does not have many workers",
        "It is recommended to use `self.log",  # scores are those of all processes already
        "Grad strides do not match bucket view strides",
        "LeafSpec",
        "predict returned None",
        "ended before the epoch ended and your dataloader is not resumable",  # it is, by the step
        "is not supported by the model summary",
        "The dirpath has changed",
        "smaller than the logging interval",
        "exists and is not empty",
        "JsonargparseDeprecationWarning",
        "was deprecated in v4",
    ):
        warnings.filterwarnings("ignore", f"(?s).*{message}")
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
