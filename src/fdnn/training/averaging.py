"""Averaged weights: a run validates with them, keeps them, and ends with them."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

#: Key of a ``.ckpt`` for the weights that are trained; its ``state_dict`` has the averages.
CURRENT_KEY = "current_model_state"


class MovingAverage(pl.Callback):
    """Keeps an exponential moving average of the weights beside those that are trained.

    Until averaging begins the average is the current weights. (In Lightning's
    ``EMAWeightAveraging`` it is the weights from before the first step: a run that ends before
    ``update_starting_at_step`` comes out untrained.) The step reads no tensor.

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
        #: Optimizer steps with this callback, and the Trainer's count after the last one.
        self.steps, self.last_step = 0, 0
        #: The average of each entry of the module's state, by name.
        self.average: dict[str, Tensor] = {}
        #: Averages, current values, and whether they are floating-point numbers.
        self.pairs: list[tuple[list[Tensor], list[Tensor], bool]] = []
        #: Averages of a checkpoint, until training knows its device.
        self.restored: dict[str, Tensor] = {}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin with the current weights, on the device where training will be."""
        self.average = {k: v.detach().clone() for k, v in pl_module.state_dict().items()}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin with the weights as a checkpoint or another callback left them."""
        for name, value in pl_module.state_dict().items():
            self.average[name].copy_(self.restored.get(name, value))
        self.restored, self.last_step = {}, trainer.global_step
        state = pl_module.state_dict()
        self.pairs = []
        for floating in (True, False):
            names = [k for k, v in state.items() if v.is_floating_point() == floating]
            if names:
                lists = [self.average[k] for k in names], [state[k] for k in names]
                self.pairs.append((*lists, floating))

    @torch.no_grad()
    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Move the average towards the weights after an optimizer step."""
        if trainer.global_step == self.last_step:
            return
        self.last_step = trainer.global_step
        self.steps += 1
        averaging = self.steps > self.start + 1  # the first average is the weights themselves
        for means, current, floating in self.pairs:
            if floating and averaging:
                torch._foreach_lerp_(means, current, 1 - self.decay)
            else:  # counters, as of batch normalisation, have no mean
                torch._foreach_copy_(means, current)

    @torch.no_grad()
    def _swap(self, pl_module: pl.LightningModule) -> None:
        for name, value in pl_module.state_dict().items():
            before = value.clone()
            value.copy_(self.average[name])
            self.average[name].copy_(before)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate with the average."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._swap(pl_module)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on with the weights that are trained."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._swap(pl_module)

    @torch.no_grad()
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the average in the module."""
        for name, value in pl_module.state_dict().items():
            value.copy_(self.average[name])

    @torch.no_grad()
    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the average also where a finished run was resumed, which trains nothing."""
        for name, value in pl_module.state_dict().items():
            value.copy_(self.restored.get(name, self.average[name]))
        self.average, self.pairs = {}, []

    def state_dict(self) -> dict[str, Any]:
        """Keep the number of steps."""
        return {"steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.steps = state_dict.get("steps", state_dict.get("latest_update_step", 0))

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put the average into ``state_dict``, the weights that are trained beside it."""
        if self.average:
            checkpoint[CURRENT_KEY] = checkpoint["state_dict"]
            checkpoint["state_dict"] = {k: v.clone() for k, v in self.average.items()}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restore both; the module has been given the average by now."""
        if trainer.state.fn == "fit" and CURRENT_KEY in checkpoint:
            self.restored = dict(checkpoint["state_dict"])
            pl_module.load_state_dict(checkpoint[CURRENT_KEY])
