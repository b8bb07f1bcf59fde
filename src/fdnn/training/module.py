"""Network + loss + optimizer: what the Lightning Trainer trains."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.optim import Optimizer

from fdnn.data.patches import Batch
from fdnn.files.errors import UserError, words
from fdnn.inference.engines import Engine, Precision, compiler_works
from fdnn.inference.hardware import COMPILED_STEPS, compile_options, without_tf32
from fdnn.models import Network
from fdnn.models.weights import CKPT_KEY, describe
from fdnn.training.checkpoints import OPTIMIZER_KEY, PARTS_KEY, set_aside
from fdnn.training.evaluator import Evaluator, check_sr
from fdnn.training.losses import MSEKLLoss, check_terms
from fdnn.training.optim import parameter_groups

log = logging.getLogger(__name__)

Schedule = Literal["constant", "cosine"]

#: Steps in a row that ``on_nonfinite: skip`` leaves out before it gives up.
MOST_SPOILED = 10


class SuperResolution(Evaluator):
    """Trains a network on patches; scores it as :class:`fdnn.training.evaluator.Evaluator` does.

    Args:
        net: Any network of :mod:`fdnn.models`.
        loss: Maps ``(sr, hr, valid_mask)`` to named terms, see :mod:`fdnn.training.losses`.
            Default: Sec. 3.3.
        optimizer: Makes the optimizer from the parameters. Default: the paper's Adam with
            learning rate 0.001, betas 0.9 and 0.999, epsilon 1e-8 (Sec. 4.1.5).
        schedule: ``constant`` (the paper's) or ``cosine``, which goes down to ``final_lr``
            at the end of training.
        warmup_steps: The learning rate rises linearly over so many optimizer steps.
        final_lr: Where ``cosine`` ends, as a fraction of the learning rate.
        compile: Train through ``torch.compile``; falls back to eager mode, with a notice,
            where no compiler works. Unset: from 500 steps on.
        weights: Trained weights for ``validate``, ``test`` and ``predict`` when no
            ``--ckpt_path`` is given: a folder with ``model.safetensors``, or a file. ``fit``
            does not read them.
        start: Trained weights from which ``fit`` starts, likewise, instead of initial ones:
            a second stage of training. Weights for another scale give what fits, see
            :func:`fdnn.models.weights.start_weights`. ``run.json`` keeps their SHA-256.
        on_nonfinite: What to do when the loss is NaN or infinite: ``stop``, or ``skip`` the
            step (with several processes or accumulated parts: take this part's gradient as 0).
            Its batch is kept in the run's folder. ``run.json`` counts the steps of which
            something was left out. Ten such steps in a row end the run all the same.
        engine: What runs the network in ``validate``, ``test`` and ``predict``, see
            :func:`fdnn.inference.engines.with_engine`. While training, validation runs eagerly.
        engine_precision: ``fp32`` or ``bf16`` for that engine; published scores are ``fp32``.
        self_ensemble: ``validate``, ``test`` and ``predict`` average over the eight flips and
            turns of each image, at eight times the cost. Tables and files say so.

    Raises:
        ValueError: If ``warmup_steps`` or ``final_lr`` is out of range.
    """

    def __init__(
        self,
        net: Network,
        loss: nn.Module | None = None,
        optimizer: OptimizerCallable = torch.optim.Adam,
        schedule: Schedule = "constant",
        warmup_steps: int = 0,
        final_lr: float = 0.01,
        compile: bool | None = None,  # noqa: A002
        weights: str | None = None,
        start: str | None = None,
        on_nonfinite: Literal["stop", "skip"] = "stop",
        engine: Engine = "eager",
        engine_precision: Precision = "fp32",
        self_ensemble: bool = False,
    ) -> None:
        if warmup_steps < 0 or not 0 <= final_lr <= 1:
            raise ValueError(
                f"warmup_steps={warmup_steps} must be at least 0, and final_lr={final_lr} "
                "between 0 and 1"
            )
        super().__init__(net, engine, engine_precision, self_ensemble)
        self.criterion: nn.Module = loss or MSEKLLoss()
        self.optimizer = optimizer
        self.schedule: Schedule = schedule
        self.warmup_steps = warmup_steps
        self.final_lr = final_lr
        self.compile_net = compile
        self.weights = weights
        self.start = start
        self.on_nonfinite = on_nonfinite
        #: Steps left out because the loss was not finite, and the last of them.
        self.spoiled_steps, self.spoiled_in_a_row, self.last_spoiled = 0, 0, -1
        #: The weights in use, if they were read from a file.
        self.weights_file: Path | None = None
        #: The network's forward pass by the scale of a training batch.
        self.train_forwards: dict[int, Callable[[Tensor], Tensor]] = {net.scale: self.net.forward}
        #: Sums of the loss terms over the parts of an accumulated step.
        self.terms: dict[str, Tensor] = {}

    def on_fit_start(self) -> None:
        """Check steps and scales; switch compilation on, if asked for and possible.

        Raises:
            UserError: If the Trainer leaves the number of steps open, or the network cannot
                have one of ``data.train_scales``.
        """
        self._check_steps()
        without_tf32(self.device)
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        try:
            nets = [self.net.at(scale) for scale in data.train_scales]
        except ValueError as error:
            raise UserError(f"data.train_scales={data.train_scales}: {error}") from None
        self.train_forwards = {net.scale: net.forward for net in nets}
        compiled = self._pays_to_compile() if self.compile_net is None else self.compile_net
        compiled = compiled and compiler_works(self.device)
        if self.trainer.is_global_zero:
            how = ", compiled" if compiled else ""
            print(
                f"training with precision {self.trainer.precision}{how} (--trainer.precision and "
                "--model.compile choose otherwise)"
            )
            if compiled:
                print("compiling, about a minute", flush=True)
        if compiled:
            trainer = self.trainer
            one_batch = trainer.world_size == trainer.accumulate_grad_batches == 1
            options = compile_options(self.device, one_batch)
            # Every scale has its own size of patches, and is compiled for it.
            self.train_forwards = {net.scale: torch.compile(net.forward, **options) for net in nets}

    def _pays_to_compile(self) -> bool:
        """Say whether enough steps are ahead."""
        steps, epochs = self.trainer.max_steps, self.trainer.max_epochs
        per_epoch = self.trainer.datamodule.steps_per_epoch  # type: ignore[attr-defined]
        ends = [end for end in (steps, (epochs or 0) * per_epoch) if end >= 0]
        return min(ends, default=COMPILED_STEPS) >= COMPILED_STEPS

    def _check_steps(self) -> None:
        """Refuse options of the Trainer that leave the number of steps open."""
        if self.schedule == "cosine" and self.trainer.max_epochs == self.trainer.max_steps == -1:
            raise UserError(
                "model.schedule=cosine needs an end, but max_epochs and max_steps are -1; "
                "set --trainer.max_epochs"
            )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Compute the loss of one batch of patches and log its terms.

        Raises:
            UserError: If the loss is not finite, see ``on_nonfinite``; if a network or a loss of
                the user's own returns another kind of result.
        """
        lr, hr, valid_mask = batch
        scale = hr.shape[-1] // lr.shape[-1]
        kept = self._statistics()
        sr = self.train_forwards[scale](lr.contiguous(memory_format=torch.channels_last))
        check_sr(sr, lr, hr)
        terms = check_terms(self._loss_terms(sr, hr, valid_mask))
        self._log_terms(terms, batch_idx)
        loss: Tensor = terms["loss"]
        if not self._spoiled(loss, lr, hr, batch_idx):
            return loss
        for buffer, before in zip(self.net.buffers(), kept, strict=True):
            buffer.copy_(before)
        if self.trainer.world_size == 1:
            return None
        # Processes that wait for each other's gradients must all have some.
        return torch.stack([0 * p.sum() for p in self.net.parameters()]).sum()

    def _loss_terms(self, sr: Tensor, hr: Tensor, valid_mask: Tensor) -> Any:
        """Compare SR with HR at the pixels that count; ``valid_mask`` is of LR size."""
        if not self.trainer.datamodule.margin:  # type: ignore[attr-defined]
            return self.criterion(sr, hr)
        scale = hr.shape[-1] // valid_mask.shape[-1]
        valid_mask = valid_mask.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
        # No gradient comes from the other pixels, whatever the loss does with the mask.
        sr = torch.where(valid_mask, sr, hr)
        if "valid_mask" in inspect.signature(self.criterion.forward).parameters:
            return self.criterion(sr, hr, valid_mask)
        return self.criterion(sr, hr)

    def _statistics(self) -> list[Tensor]:
        """Copy what a forward pass may change, batch normalisation's means, if it may be undone."""
        return [b.clone() for b in self.net.buffers()] if self.on_nonfinite == "skip" else []

    def _log_terms(self, terms: dict[str, Tensor], batch_idx: int) -> None:
        """Log the terms' means over the whole batch of a step, wherever its parts were computed."""
        # Logging costs a millisecond: only the steps that reach the loggers do it.
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if not every or (self.global_step + 1) % every:
            return
        parts = self.trainer.accumulate_grad_batches
        for name, value in terms.items():
            before = self.terms.get(name, 0) if batch_idx % parts else 0
            self.terms[name] = before + value.detach() / parts
        if (batch_idx + 1) % parts:
            return
        for name, value in self.terms.items():
            self.log(f"train/{name}", value, prog_bar=name == "loss", batch_size=1, sync_dist=True)

    def _spoiled(self, loss: Tensor, lr: Tensor, hr: Tensor, batch_idx: int) -> bool:
        """Stop, or say that the batch must be skipped, if the loss of any process is not finite."""
        spoiled = not bool(torch.isfinite(loss))
        anywhere = spoiled
        if self.trainer.world_size > 1:
            anywhere = self.trainer.strategy.reduce_boolean_decision(spoiled, all=False)
        if not anywhere:
            return False
        text = f"loss of another process is not finite at step {self.global_step + 1}"
        if spoiled:
            where = set_aside(self.trainer, lr, hr, batch_idx)
            text = f"loss is {loss.item()} at step {self.global_step + 1}; its batch: {where}"
        if self.on_nonfinite == "stop":
            raise UserError(
                f"{text}; the last checkpoint, if any, is kept: lower the learning rate, or leave "
                "such steps out with --model.on_nonfinite skip, and --ckpt_path last"
            )
        if self.global_step != self.last_spoiled:
            self.spoiled_steps += 1
            follows = self.global_step == self.last_spoiled + 1
            self.spoiled_in_a_row = self.spoiled_in_a_row + 1 if follows else 1
            self.last_spoiled = self.global_step
        if self.spoiled_in_a_row == MOST_SPOILED:
            raise UserError(
                f"{text}; so were the {MOST_SPOILED - 1} steps before, which were left out: lower "
                "the learning rate, and go on from an earlier checkpoint"
            )
        whole = self.trainer.accumulate_grad_batches == 1
        log.warning("%s; %s left out", text, "step" if whole else "its part of the step")
        return True

    def new_optimizer(self) -> Optimizer:
        """Make the injected optimizer of the network's parameters.

        Raises:
            UserError: If it refuses its arguments, or cannot train networks like these; if the loss
                has parameters that it would not get.
        """
        if any(parameter.requires_grad for parameter in self.criterion.parameters()):
            raise UserError(
                "model.loss has parameters, and only the network's are trained; freeze them "
                "(requires_grad_(False))"
            )
        try:
            optimizer = self.optimizer(parameter_groups(self.net))
        except ValueError as error:
            raise UserError(f"model.optimizer: {words(error)}") from None
        if isinstance(optimizer, torch.optim.LBFGS | torch.optim.SparseAdam):
            name = type(optimizer).__name__
            raise UserError(f"model.optimizer: {name} does not work here; use torch.optim.Adam")
        return optimizer

    def configure_optimizers(self) -> Any:
        """Attach the learning-rate schedule to the injected optimizer."""
        optimizer = self.new_optimizer()
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._lr_factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_train_start(self) -> None:
        """Let the config's learning rates hold, for a resumed run too, which restored its own.

        Raises:
            UserError: If an epoch would end in a part of a step.
        """
        batches, parts = self.trainer.num_training_batches, self.trainer.accumulate_grad_batches
        trial: bool = self.trainer.fast_dev_run  # type: ignore[attr-defined]
        if batches != math.inf and batches % parts and not trial:
            raise UserError(
                f"limit_train_batches leaves {batches} batches an epoch, which are no multiple of "
                f"accumulate_grad_batches={parts}; change one of them"
            )
        optimizer: Any = self.optimizers(use_pl_optimizer=False)
        scheduler: Any = self.lr_schedulers()
        scheduler.base_lrs = [group["lr"] for group in self.new_optimizer().param_groups]
        for group, base in zip(optimizer.param_groups, scheduler.base_lrs, strict=True):
            group["initial_lr"] = base
            group["lr"] = base * self._lr_factor(scheduler.last_epoch)

    def _lr_factor(self, step: int) -> float:
        factor = min(1.0, (step + 1) / (self.warmup_steps + 1))
        if self.schedule == "cosine" and step:
            # Not asked for at step 0: the answer starts the data loader, which must not
            # happen before a resumed run knows where it stands.
            done = min(step / self.trainer.estimated_stepping_batches, 1.0)
            factor *= self.final_lr + (1 - self.final_lr) * (1 + math.cos(math.pi * done)) / 2
        return factor

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say in the checkpoint which network its weights belong to.

        Raises:
            UserError: If the weights are not finite; the checkpoint before is kept.
        """
        if not all(bool(torch.isfinite(value).all()) for value in self.net.state_dict().values()):
            raise UserError(
                f"weights are not finite after step {self.global_step}; no checkpoint is written, "
                "the last one, if any, is kept: lower the learning rate, and --ckpt_path last"
            )
        checkpoint[CKPT_KEY] = describe(self.net)
        optimizer: Any = self.optimizers(use_pl_optimizer=False)
        checkpoint[OPTIMIZER_KEY] = type(optimizer).__name__
        checkpoint[PARTS_KEY] = self.trainer.accumulate_grad_batches
        checkpoint["spoiled_steps"] = self.spoiled_steps

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on counting the steps that were left out."""
        self.spoiled_steps = checkpoint.get("spoiled_steps", 0)
