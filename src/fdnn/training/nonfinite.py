"""Steps whose loss or gradient is NaN or infinite: they never reach the weights."""

from __future__ import annotations

import logging
import math
from typing import Literal

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fdnn.files.errors import UserError
from fdnn.training.checkpoints import keep_batch
from fdnn.training.optim import takes_found_inf

log = logging.getLogger(__name__)

#: Skipped steps in a row that end a run.
MOST_SKIPPED = 10
#: A gradient scaler (16-mixed) whose factor has fallen below this met no finite gradient for long.
LEAST_SCALE = 2.0**-10


class NonFiniteSteps:
    """Withholds the update of a step with non-finite gradients, and reports it later.

    The step reads no tensor: whether its gradients are finite stays on the device, where the
    optimizer obeys it, and in a history that :meth:`report` reads at logging steps.

    Args:
        policy: ``stop`` ends the run at the next report; ``skip`` goes on.

    Attributes:
        skipped_steps: Steps left out so far.
    """

    def __init__(self, policy: Literal["stop", "skip"]) -> None:
        self.policy = policy
        self.skipped_steps = 0
        self.in_a_row = 0
        #: Steps since the last report; the rows of ``history`` are their loss and a flag.
        self.steps: list[int] = []
        self.history = torch.zeros(0, 2)
        self.loss: Tensor | None = None
        self.buffers: list[Tensor] = []
        self.buffers_before: list[Tensor] = []

    def begin(self, net: nn.Module, first: bool) -> None:
        """Remember what a forward pass may change, such as the means of batch normalisation.

        Args:
            net: The network.
            first: Whether this is the first micro-batch of a step.
        """
        if first:
            self.loss = None
        if first and self.policy == "skip":
            state = net.state_dict()
            self.buffers = [b for name, b in net.named_buffers() if name in state]
            self.buffers_before = [b.clone() for b in self.buffers]

    def mark(self, loss: Tensor) -> Tensor:
        """Make the gradients of a loss that is not finite NaN; others are not changed.

        So every process learns of it: their gradients are averaged.
        """
        value = loss.detach()
        self.loss = value if self.loss is None else self.loss + value
        return loss * (1 + 0 * value)

    @torch.no_grad()
    def withhold(self, optimizer: Optimizer, norm: Tensor, trainer: pl.Trainer) -> None:
        """Keep non-finite gradients from the weights, before the optimizer takes its step.

        Args:
            optimizer: Takes the step.
            norm: Norm of all gradients, a scalar.
            trainer: Of the run.
        """
        assert self.loss is not None
        # A gradient scaler lowers its factor, and skips the step itself, when gradients overflow.
        found = ~torch.isfinite(self.loss if _scaler(trainer) else norm)
        for buffer, before in zip(self.buffers, self.buffers_before, strict=True):
            buffer.copy_(torch.where(found, before, buffer))
        if takes_found_inf(optimizer):
            optimizer.found_inf = found.float()  # type: ignore[attr-defined]
        elif bool(found):
            optimizer.zero_grad()  # optimizers leave parameters without gradients alone
        if len(self.history) != reports_every(trainer) or self.history.device != norm.device:
            self.history = torch.zeros(reports_every(trainer), 2, device=norm.device)
        row = self.history[len(self.steps)]
        row[0].copy_(self.loss / trainer.accumulate_grad_batches)
        row[1].copy_(found)
        self.steps.append(trainer.global_step)

    def report(self, trainer: pl.Trainer) -> None:
        """Read what happened since the last report.

        Raises:
            UserError: If a step was not finite and the policy is to stop, or after
                :data:`MOST_SKIPPED` steps in a row.
        """
        steps, self.steps = self.steps, []
        for step, (loss, found) in zip(steps, self.history.tolist(), strict=False):
            self.in_a_row = self.in_a_row + 1 if found else 0
            if not found:
                continue
            file = keep_batch(trainer, step)
            what = f"gradient is not finite at step {step + 1}, the loss is {loss:.4g}"
            if not math.isfinite(loss):
                what = f"loss is {loss} at step {step + 1}"
            text = f"{what}; its batch: {file}"
            if self.policy == "stop":
                raise UserError(
                    f"{text}; the last checkpoint, if any, is kept: lower the learning rate, or "
                    "leave such steps out with --model.on_nonfinite skip, and --ckpt_path last"
                )
            self.skipped_steps += 1
            if self.in_a_row == MOST_SKIPPED:
                raise UserError(
                    f"{text}; the {MOST_SKIPPED - 1} steps before were skipped too: lower the "
                    "learning rate, and go on from an earlier checkpoint"
                )
            log.warning("%s; step skipped", text)
        scaler = _scaler(trainer)
        if scaler and scaler.get_scale() < LEAST_SCALE:
            raise UserError(
                "gradients are not finite in float16; lower the learning rate, or use "
                "--trainer.precision 32-true"
            )


def _scaler(trainer: pl.Trainer) -> torch.amp.GradScaler | None:
    return getattr(trainer.precision_plugin, "scaler", None)


def reports_every(trainer: pl.Trainer) -> int:
    """Return after how many steps the history is read."""
    return trainer.log_every_n_steps or 50  # type: ignore[attr-defined]
