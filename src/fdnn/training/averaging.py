"""Averaged weights: what a run is validated with, keeps, and ends with."""

from __future__ import annotations

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class MovingAverage(WeightAveraging):
    """Keeps an exponential moving average of the weights beside those that are trained.

    Until averaging begins the average is the current weights. (In Lightning's
    ``EMAWeightAveraging`` it is the weights from before the first step: a run that ends before
    ``update_starting_at_step`` comes out as if it had learned nothing.)

    Args:
        decay: Weight of the average so far against the current weights, in [0, 1).
        start: Optimizer steps with this callback before averaging begins.

    Raises:
        ValueError: If ``decay`` or ``start`` is out of range.
    """

    def __init__(self, decay: float = 0.999, start: int = 0) -> None:
        if not 0 <= decay < 1 or start < 0:
            raise ValueError(f"decay={decay} must lie in [0, 1), start={start} be at least 0")
        self.decay, self.start = decay, start

        def average(before: list[Tensor], current: list[Tensor], steps: Tensor) -> None:
            if not before[0].is_floating_point():  # batch normalisation counts its batches
                torch._foreach_copy_(before, current)
                return
            share = decay if steps > start else 0.0
            torch._foreach_mul_(before, share)
            torch._foreach_add_(before, torch._foreach_mul(current, 1 - share))

        super().__init__(multi_avg_fn=average)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Keep the average where training will be: the weights are not there yet, on the CPU."""
        self._device = self._device or trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the average also where a finished run was resumed: no training, no end of it."""
        self.on_train_end(trainer, pl_module)
