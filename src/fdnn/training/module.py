"""What the Lightning Trainer trains and scores: network, loss and optimizer.

:meth:`SuperResolution.training_step` is the training step.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor, nn
from torch.optim import Optimizer

from fdnn.data.patches import Batch
from fdnn.evaluation.metrics import BenchmarkScores, SetScores
from fdnn.files.errors import UserError, words
from fdnn.inference.engines import Engine, Precision, compiler_works, with_engine
from fdnn.inference.hardware import COMPILED_STEPS, compile_options, without_tf32
from fdnn.inference.tiles import full_float32
from fdnn.models import Network
from fdnn.models.ensemble import SelfEnsemble
from fdnn.models.weights import CKPT_KEY, describe
from fdnn.predict.work import Work
from fdnn.training.checkpoints import ACCUMULATION_KEY, OPTIMIZER_KEY
from fdnn.training.losses import MSEKLLoss, check_terms
from fdnn.training.nonfinite import NonFiniteSteps, reports_every
from fdnn.training.optim import fuse, parameter_groups

Schedule = Literal["constant", "cosine"]


class SuperResolution(pl.LightningModule):
    """Trains a network on patches, scores it on whole images, and upscales files with it.

    Scores are computed in float32 (:func:`fdnn.inference.tiles.full_float32`), whatever the
    precision of training, unless ``engine_precision`` asks for less.

    Args:
        net: Any network of :mod:`fdnn.models`.
        loss: Maps ``(sr, hr, valid_mask)`` to named terms, see :mod:`fdnn.training.losses`.
            Default: Sec. 3.3.
        optimizer: Makes the optimizer from the parameters. Default: the paper's Adam with
            learning rate 0.001, betas 0.9 and 0.999, epsilon 1e-8 (Sec. 4.1.5).
        schedule: ``constant`` (the paper's) or ``cosine``, which goes down to ``final_lr``
            at the end of training.
        warmup_steps: Optimizer steps over which the learning rate rises linearly.
        final_lr: Where ``cosine`` ends, as a fraction of the learning rate, in [0, 1].
        compile: Train through ``torch.compile``; without a compiler, training goes on in eager
            mode with a notice. Unset: from 500 steps on.
        weights: Trained weights for ``validate``, ``test`` and ``predict`` without
            ``--ckpt_path``: a folder with ``model.safetensors``, or a file.
        start: Trained weights from which ``fit`` starts, likewise. Weights for another scale give
            what fits, see :func:`fdnn.models.weights.start_weights`. ``run.json`` keeps their
            SHA-256.
        on_nonfinite: What follows a loss or gradient that is NaN or infinite. Such a step never
            reaches the weights; its batch is kept in the run's folder. ``stop`` ends the run at
            the next logging step, ``skip`` ends it after ten such steps in a row.
        engine: What runs the network in ``validate``, ``test`` and ``predict``, see
            :func:`fdnn.inference.engines.with_engine`. While training, validation runs eagerly.
        engine_precision: ``fp32`` or ``bf16`` for that engine; published scores are ``fp32``.
        self_ensemble: ``validate``, ``test`` and ``predict`` average over the eight flips and
            turns of each image, at eight times the cost. Tables and files say so.

    Attributes:
        results: Scores of the last validation or test, by set name.
        weights_file: The weights in use, if they were read from a file.
        work: What ``predict`` does with files.

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
        super().__init__()
        self.net: Network = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for buffer in self.net.buffers():
            # DDP would copy a one-channel kernel with channels last onto itself.
            buffer.data = buffer.clone(memory_format=torch.contiguous_format)
        self.criterion: nn.Module = loss or MSEKLLoss()
        self.optimizer = optimizer
        self.schedule: Schedule = schedule
        self.warmup_steps = warmup_steps
        self.final_lr = final_lr
        self.compile_net = compile
        self.weights = weights
        self.start = start
        self.nonfinite = NonFiniteSteps(on_nonfinite)
        self.engine: Engine = engine
        self.engine_precision: Precision = engine_precision
        self.self_ensemble = self_ensemble
        self.weights_file: Path | None = None
        #: The network's forward pass by the scale of a training batch.
        self.train_forwards: dict[int, Callable[[Tensor], Tensor]] = {net.scale: self.net.forward}
        #: Sums of the loss terms over the micro-batches of a logged step.
        self.terms: dict[str, Tensor] = {}
        #: What the terminal shows, read at logging steps and after validation.
        self.shown: dict[str, str] = {}
        #: A tuple, because a network here would be a part of the module, and of its checkpoints.
        self._runner: tuple[Network] = (self.net,)
        self.work = Work()
        self.scores: list[BenchmarkScores] = []
        self.results: dict[str, SetScores] = {}

    # ---- a training step: no tensor is read by the host, so a GPU never waits ---------

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Compute the loss of one micro-batch of patches.

        Args:
            batch: LR ``(n, 1, h, w)`` and HR ``(n, 1, scale * h, scale * w)`` in [0, 1]; which LR
                pixels count, ``(n, 1, h, w)`` bool.
            batch_idx: Of the epoch, counting micro-batches.

        Returns:
            The loss, a scalar, whose gradient is NaN if it is not finite.
        """
        lr, hr, valid_mask = batch
        self.nonfinite.begin(self.net, first=not batch_idx % self.trainer.accumulate_grad_batches)
        forward = self.train_forwards[hr.shape[-1] // lr.shape[-1]]
        sr = forward(lr.contiguous(memory_format=torch.channels_last))
        check_sr(sr, lr, hr)
        terms = check_terms(self._loss_terms(sr, hr, valid_mask))
        self._log_terms(terms, batch_idx)
        return self.nonfinite.mark(terms["loss"])

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

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradients of a step; withhold them from the optimizer if one is not finite."""
        parameters = list(self.net.parameters())
        gradients = [p.grad for p in parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if gradient_clip_val and gradient_clip_algorithm in (None, "norm"):
            torch.nn.utils.clip_grads_with_norm_(parameters, gradient_clip_val, norm)
        elif gradient_clip_val:
            torch.nn.utils.clip_grad_value_(parameters, gradient_clip_val)
        self.nonfinite.withhold(optimizer, norm, self.trainer)

    def _log_terms(self, terms: dict[str, Tensor], batch_idx: int) -> None:
        """Log the terms' means over all micro-batches and processes, at logging steps."""
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if not every or (self.global_step + 1) % every:
            return
        count = self.trainer.accumulate_grad_batches
        for name, value in terms.items():
            before = self.terms.get(name, 0) if batch_idx % count else 0
            self.terms[name] = before + value.detach() / count
        if (batch_idx + 1) % count:
            return
        for name, value in self.terms.items():
            self.log(f"train/{name}", value, batch_size=1, sync_dist=True)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Report steps that were not finite, at logging steps."""
        whole = not (batch_idx + 1) % self.trainer.accumulate_grad_batches
        if whole and not self.global_step % reports_every(self.trainer):
            self.nonfinite.report(self.trainer)
            if "loss" in self.terms:
                self.shown["loss"] = f"{float(self.terms['loss']):.4g}"
            if "mse" in self.terms:  # of this process's pairs
                self.shown["PSNR"] = f"{-10 * math.log10(float(self.terms['mse']) + 1e-12):.2f}"

    # ---- around the training ----------------------------------------------------------

    def on_fit_start(self) -> None:
        """Check steps and scales; compile the network if that pays or is asked for.

        Raises:
            UserError: If the Trainer leaves the number of steps open, or the network cannot
                have one of ``data.train_scales``.
        """
        if self.schedule == "cosine" and self.trainer.max_epochs == self.trainer.max_steps == -1:
            raise UserError(
                "model.schedule=cosine needs an end, but max_epochs and max_steps are -1; "
                "set --trainer.max_epochs"
            )
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

    def new_optimizer(self) -> Optimizer:
        """Make the optimizer of the network's parameters.

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
        """Attach the learning-rate schedule to the optimizer."""
        optimizer = self.new_optimizer()
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._lr_factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_train_start(self) -> None:
        """Let the config's learning rates hold, also in a resumed run, which restored its own.

        Raises:
            UserError: If an epoch would end inside a step.
        """
        batches, count = self.trainer.num_training_batches, self.trainer.accumulate_grad_batches
        trial: bool = self.trainer.fast_dev_run  # type: ignore[attr-defined]
        if batches != math.inf and batches % count and not trial:
            raise UserError(
                f"limit_train_batches leaves {batches} batches an epoch, which are no multiple of "
                f"accumulate_grad_batches={count}; change one of them"
            )
        optimizer: Any = self.optimizers(use_pl_optimizer=False)
        fuse(optimizer)
        scheduler: Any = self.lr_schedulers()
        scheduler.base_lrs = [group["lr"] for group in self.new_optimizer().param_groups]
        for group, base in zip(optimizer.param_groups, scheduler.base_lrs, strict=True):
            group["initial_lr"] = base
            group["lr"] = base * self._lr_factor(scheduler.last_epoch)

    def _lr_factor(self, step: int) -> float:
        factor = min(1.0, (step + 1) / (self.warmup_steps + 1))
        if self.schedule == "cosine" and step:
            # Not at step 0: the Trainer's answer starts the data loader, which must not happen
            # before a resumed run has restored its step.
            done = min(step / self.trainer.estimated_stepping_batches, 1.0)
            factor *= self.final_lr + (1 - self.final_lr) * (1 + math.cos(math.pi * done)) / 2
        return factor

    def on_train_end(self) -> None:
        """Report steps that were not finite since the last logging step."""
        self.nonfinite.report(self.trainer)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Describe the network in the checkpoint.

        Raises:
            UserError: If the weights are not finite; the checkpoint before is kept.
        """
        self.nonfinite.report(self.trainer)
        if not all(bool(torch.isfinite(value).all()) for value in self.net.state_dict().values()):
            raise UserError(
                f"weights are not finite after step {self.global_step}; no checkpoint is written, "
                "the last one, if any, is kept: lower the learning rate, and --ckpt_path last"
            )
        optimizer: Any = self.optimizers(use_pl_optimizer=False)
        checkpoint[CKPT_KEY] = describe(self.net)
        checkpoint[OPTIMIZER_KEY] = type(optimizer).__name__
        checkpoint[ACCUMULATION_KEY] = self.trainer.accumulate_grad_batches
        checkpoint["skipped_steps"] = self.nonfinite.skipped_steps

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on counting skipped steps."""
        self.nonfinite.skipped_steps = checkpoint.get("skipped_steps", 0)

    # ---- scores and files -------------------------------------------------------------

    @property
    def scale(self) -> int:
        """Magnification of the network."""
        return self.net.scale

    @property
    def runner(self) -> Network:
        """What runs the network in evaluation."""
        return self._runner[0]

    @property
    def engine_title(self) -> str:
        """Engine and precision of the evaluation, as records name them."""
        double = any(p.dtype == torch.float64 for p in self.net.parameters())
        return f"{self.engine}, {'fp64' if double else self.engine_precision}"

    @property
    def title(self) -> str:
        """Name of the network in tables."""
        name = self.net.title
        return f"{name} + self-ensemble" if self.self_ensemble else name

    def forward(self, lr: Tensor) -> Tensor:
        """Map LR luma ``(n, 1, h, w)`` in [0, 1] to SR, see :mod:`fdnn.models`."""
        sr: Tensor = self.net(lr)
        return sr

    def _start_engine(self) -> None:
        runner = self.net
        if self.trainer.state.fn != "fit":
            if self.engine == "compile" and not compiler_works(self.device):
                self.engine = "eager"  # in records, too
            runner = with_engine(runner, self.engine, self.engine_precision)
            if self.self_ensemble:
                runner = SelfEnsemble(runner)
        self._runner = (runner,)

    def _start_scores(self, loaders: Any) -> None:
        self._start_engine()
        self.evaluated = [loader.dataset.images for loader in loaders]
        self.scores = [BenchmarkScores(self.scale).to(self.device) for _ in self.evaluated]

    def _score(self, batch: dict[str, Tensor], set_index: int) -> None:
        with full_float32(self.device):
            sr: Tensor = self.runner(batch["lr"])
        check_sr(sr, batch["lr"], batch["hr"])
        self.scores[set_index].update(batch["index"], sr * 255, batch["hr"])

    def _finish_scores(self, stage: str) -> None:
        """Collect the scores of all processes and log them as ``<stage>/<set>/psnr`` and ssim."""
        pairs = zip(self.evaluated, self.scores, strict=True)
        scored = [metric.of_set(images) for images, metric in pairs]
        self.results = {scores.images.name: scores for scores in scored}
        for i, (images, scores) in enumerate(zip(self.evaluated, scored, strict=True)):
            if stage == "val" and i == 0:
                self.shown[images.name[:20]] = f"{scores.psnr:.3f}"
            self.log(f"{stage}/{images.name}/psnr", scores.psnr)
            self.log(f"{stage}/{images.name}/ssim", scores.ssim)

    def on_validation_epoch_start(self) -> None:
        """Start new scores."""
        self._start_scores(self.trainer.val_dataloaders)

    def validation_step(
        self, batch: dict[str, Tensor], batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Score one whole image."""
        self._score(batch, dataloader_idx)

    def on_validation_epoch_end(self) -> None:
        """Log the scores."""
        self._finish_scores("val")

    def on_test_epoch_start(self) -> None:
        """Start new scores."""
        self._start_scores(self.trainer.test_dataloaders)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Score one whole image."""
        self._score(batch, dataloader_idx)

    def on_test_epoch_end(self) -> None:
        """Log the scores."""
        self._finish_scores("test")

    def on_predict_start(self) -> None:
        """Prepare the engine, and the end that processes wait for."""
        self.work.begin(self.trainer.world_size)
        self._start_engine()

    def predict_step(self, batch: tuple[Path, Path] | None, batch_idx: int) -> None:
        """Upscale one file; ``work`` keeps errors for the end.

        Args:
            batch: Source and target file, see :class:`fdnn.predict.plan.Job`; ``None``: no work.
            batch_idx: Not used.
        """
        if self.trainer.received_sigterm:  # Lightning's loop would not look
            raise SIGTERMException
        if batch is not None:
            self.work.do(self.runner, *batch)

    def on_predict_epoch_end(self) -> None:
        """Bring together what all processes did."""
        self.work.gather(self.trainer.world_size)


def check_sr(sr: Any, lr: Tensor, hr: Tensor) -> None:
    """Check the shape of a network's output, which may be a user's own.

    Raises:
        UserError: If it has not the shape of the HR image.
    """
    made = tuple(sr.shape) if isinstance(sr, Tensor) else type(sr).__name__
    if made != tuple(hr.shape):
        raise UserError(f"model.net made {made} of {tuple(lr.shape)}, not {tuple(hr.shape)}")
