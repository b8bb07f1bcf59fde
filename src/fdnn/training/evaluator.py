"""A network in ``validate``, ``test`` and ``predict``: what runs it, and its scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from fdnn.evaluation.metrics import BenchmarkScores, SetScores
from fdnn.files.errors import UserError
from fdnn.inference.engines import Engine, Precision, compiler_works, with_engine
from fdnn.inference.tiles import full_float32
from fdnn.models import Network
from fdnn.models.ensemble import SelfEnsemble
from fdnn.predict.work import Work


def check_sr(sr: Any, lr: Tensor, hr: Tensor) -> None:
    """Look at what a network, a user's own maybe, made of an LR image.

    Raises:
        UserError: If it has not the shape of the HR image.
    """
    made = tuple(sr.shape) if isinstance(sr, Tensor) else type(sr).__name__
    if made != tuple(hr.shape):
        raise UserError(f"model.net made {made} of {tuple(lr.shape)}, not {tuple(hr.shape)}")


class Evaluator(pl.LightningModule):
    """Scores a network on whole images, and magnifies files with it.

    Evaluation runs in float32 (:func:`fdnn.inference.tiles.full_float32`), whatever the
    precision of training, unless ``engine_precision`` asks for less.

    Args:
        net: Any network of :mod:`fdnn.models`.
        engine: What runs the network, see :func:`fdnn.inference.engines.with_engine`.
            While training, validation runs eagerly.
        engine_precision: ``fp32`` or ``bf16`` for that engine.
        self_ensemble: Average over the eight flips and turns of each image.

    Attributes:
        results: Scores of the last validation or test, by set name.
        work: What ``predict`` does with files.
    """

    def __init__(
        self, net: Network, engine: Engine, engine_precision: Precision, self_ensemble: bool
    ) -> None:
        super().__init__()
        self.net: Network = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for buffer in self.net.buffers():
            # Buffers keep their layout: of a kernel of one channel, channels last, DDP's broadcast
            # would write a copy onto itself.
            buffer.data = buffer.clone(memory_format=torch.contiguous_format)
        self.engine: Engine = engine
        self.engine_precision: Precision = engine_precision
        self.self_ensemble = self_ensemble
        #: A tuple, because a network here would be a part of the module, and of its checkpoints.
        self._runner: tuple[Network] = (self.net,)
        self.work = Work()
        self.scores: list[BenchmarkScores] = []
        self.results: dict[str, SetScores] = {}

    @property
    def runner(self) -> Network:
        """What runs the network in evaluation."""
        return self._runner[0]

    @property
    def scale(self) -> int:
        """Magnification of the network."""
        return self.net.scale

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

    @property
    def engine_title(self) -> str:
        """What records call that which runs the network in evaluation, and its precision."""
        double = any(p.dtype == torch.float64 for p in self.net.parameters())
        return f"{self.engine}, {'fp64' if double else self.engine_precision}"

    @property
    def title(self) -> str:
        """What tables call the network."""
        name = self.net.title
        return f"{name} + self-ensemble" if self.self_ensemble else name

    def _start_scores(self, loaders: Any) -> None:
        self._start_engine()
        self.evaluated = [loader.dataset.images for loader in loaders]
        self.scores = [BenchmarkScores(self.scale).to(self.device) for _ in self.evaluated]

    def _score(self, batch: dict[str, Tensor], set_index: int) -> None:
        with full_float32(self.device):
            sr: Tensor = self.runner(batch["lr"])
        check_sr(sr, batch["lr"], batch["hr"])
        self.scores[set_index].update(batch["index"], sr * 255, batch["hr"])

    def _finish_scores(self) -> None:
        pairs = zip(self.evaluated, self.scores, strict=True)
        scored = [metric.of_set(images) for images, metric in pairs]
        self.results = {scores.images.name: scores for scores in scored}

    def _log_scores(self, stage: str) -> None:
        for i, (images, scores) in enumerate(
            zip(self.evaluated, self.results.values(), strict=True)
        ):
            name = f"{stage}/{images.name}"
            self.log(f"{name}/psnr", scores.psnr, prog_bar=stage == "val" and i == 0)
            self.log(f"{name}/ssim", scores.ssim)

    def on_validation_epoch_start(self) -> None:
        """Start new scores."""
        self._start_scores(self.trainer.val_dataloaders)

    def validation_step(
        self, batch: dict[str, Tensor], batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Score one whole image."""
        self._score(batch, dataloader_idx)

    def on_validation_epoch_end(self) -> None:
        """Log ``val/<set>/psnr`` and ``val/<set>/ssim``, and show the PSNR of the first set."""
        self._finish_scores()
        self._log_scores("val")

    def on_predict_start(self) -> None:
        """Prepare the engine, and the end that processes wait for."""
        self.work.begin(self.trainer.world_size)
        self._start_engine()

    def predict_step(self, batch: tuple[Path, Path] | None, batch_idx: int) -> None:
        """Magnify one file; what goes wrong with it is kept for the end, see ``work``.

        Args:
            batch: Source and target file, see :class:`fdnn.predict.plan.Job`; ``None``: no work.
            batch_idx: Not used.

        Raises:
            SIGTERMException: Instead, if the process was told to stop.
        """
        if self.trainer.received_sigterm:  # Lightning's loop would not look
            raise SIGTERMException
        if batch is not None:
            self.work.do(self.runner, *batch)

    def on_predict_epoch_end(self) -> None:
        """Bring together what all processes did."""
        self.work.gather(self.trainer.world_size)

    def on_test_epoch_start(self) -> None:
        """Start new scores."""
        self._start_scores(self.trainer.test_dataloaders)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Score one whole image."""
        self._score(batch, dataloader_idx)

    def on_test_epoch_end(self) -> None:
        """Log ``test/<set>/psnr`` and ``test/<set>/ssim``."""
        self._finish_scores()
        self._log_scores("test")
