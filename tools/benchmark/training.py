"""Training steps: the literal network, ours, and ours through the Trainer."""

from __future__ import annotations

import copy
import functools
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.profilers import SimpleProfiler
from torch import Tensor

from fdnn.data.patches import Batch
from fdnn.inference.engines import compiler_works
from fdnn.inference.hardware import half_precision, training_precision
from fdnn.models import FDNN, Network
from fdnn.models.literal import LiteralFDNN
from fdnn.training.averaging import MovingAverage
from fdnn.training.callbacks import Throughput
from fdnn.training.datamodule import SRDataModule
from fdnn.training.losses import MSEKLLoss
from fdnn.training.module import SuperResolution
from fdnn.training.optim import MuonAdam
from tools.benchmark.timing import Timing, alternate, device, precisions

#: LR side of a patch, and patches in a batch.
PATCH = 24
BATCH = 16


def _step(
    net: Network,
    forward: Callable[[Tensor], Tensor],
    precision: torch.dtype,
    optimizer: Callable[..., torch.optim.Optimizer],
) -> Callable[[], None]:
    """Make a function that trains a network on one random batch."""
    torch.manual_seed(0)
    lr = torch.rand(BATCH, 1, PATCH, PATCH, device=device())
    hr = torch.rand(BATCH, 1, net.scale * PATCH, net.scale * PATCH, device=device())
    lr = lr.contiguous(memory_format=torch.channels_last)
    criterion = MSEKLLoss()
    update = optimizer(net.parameters())

    def step() -> None:
        with torch.autocast(device().type, precision, enabled=precision != torch.float32):
            sr = forward(lr)
        update.zero_grad()
        criterion(sr.float(), hr)["loss"].backward()
        update.step()

    return step


def steps(scale: int, repeats: int) -> dict[str, Timing]:
    """Time training steps of 16 pairs in a plain loop.

    All with the paper's loss and Adam; the last row with the optimizer of the fast recipes.
    """
    torch.manual_seed(0)
    reference = FDNN(scale).to(device())
    literal = LiteralFDNN(reference)
    channels_last: Any = functools.partial(torch.nn.Module.to, memory_format=torch.channels_last)
    cases = {}
    for name, precision in precisions().items():
        net: Network = copy.deepcopy(literal).to(device())
        cases[f"literal, {name}"] = _step(net, net.forward, precision, torch.optim.Adam)
        net = channels_last(copy.deepcopy(reference))
        cases[f"ours, {name}"] = _step(net, net.forward, precision, torch.optim.Adam)
    if compiler_works(device()):
        optimizers = {"": torch.optim.Adam, ", Muon": MuonAdam}
        for name, optimizer in optimizers.items():
            net = channels_last(copy.deepcopy(reference))
            forward = torch.compile(net.forward)
            fastest, precision = list(precisions().items())[-1]
            key = f"ours, {fastest}, compiled{name}"
            cases[key] = _step(net, forward, precision, optimizer)
    return alternate(cases, repeats)


class _Clock(pl.Callback):
    """Notes when each batch ends."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        self.ends.append(time.perf_counter())


def through_trainer(scale: int, repeats: int, count: int = 60) -> dict[str, Any]:
    """Compare ``fit`` by the fast recipe with the same work in a plain loop.

    Both train on scikit-image's photographs, with Muon, clipped gradients and averaged weights.

    Args:
        scale: Magnification.
        repeats: Turns of either.
        count: Steps in each turn.

    Returns:
        ``plain`` and ``trainer``, each a :class:`Timing` of one step without waiting for data;
        ``overhead``, by how much the second is longer; ``data_wait``, the share of the
        Trainer's time that goes into waiting for batches.
    """
    torch.manual_seed(0)
    data = SRDataModule(
        scale, ["sample-train"], [], [], patch_size=scale * PATCH, batch_size=BATCH,
        steps_per_epoch=count,
    )  # fmt: skip
    module = SuperResolution(
        FDNN(scale, init="spread"),
        MSEKLLoss(kl_weight=0.1),
        functools.partial(MuonAdam, lr=1e-4, adam_lr=1e-5),
        schedule="cosine",
        compile=True,
    )
    data.setup("fit")
    seconds: dict[str, list[float]] = {"plain": [], "trainer": []}
    waits = []
    skip = count // 3
    for turn in range(repeats + 1):
        clock, profiler = _Clock(), SimpleProfiler()
        with tempfile.TemporaryDirectory() as folder:
            trainer = pl.Trainer(
                accelerator="gpu" if device().type == "cuda" else "cpu",
                devices=1,
                max_epochs=1,
                precision=training_precision(device()),  # type: ignore[arg-type]
                gradient_clip_val=1.0,
                callbacks=[MovingAverage(decay=0.999), Throughput(), clock],
                logger=CSVLogger(folder),
                profiler=profiler,
                limit_val_batches=0,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            trainer.fit(module, data)
        waiting = profiler.recorded_durations["[_TrainingEpochLoop].train_dataloader_next"]
        total = clock.ends[-1] - clock.ends[skip]
        waited = sum(waiting[skip + 1 : count])
        batches = (data.on_before_batch_transfer(b, 0) for b in data.train_dataloader())
        plain = _plain_loop(module, batches, count - skip)
        if turn:  # the first turn compiles
            seconds["trainer"].append((total - waited) / (count - skip - 1))
            seconds["plain"].append(plain)
            waits.append(waited / total)
    timings = {name: Timing.of(values) for name, values in seconds.items()}
    return {
        **timings,
        "overhead": timings["trainer"].median / timings["plain"].median - 1,
        "data_wait": sorted(waits)[len(waits) // 2],
    }


def _plain_loop(module: SuperResolution, batches: Iterator[Batch], count: int) -> float:
    """Train without Lightning on batches that are already there; return seconds a step."""
    net = module.net.to(device()).train()
    average = copy.deepcopy(net)
    optimizer = module.optimizer(net.parameters())
    ready = [tuple(t.to(device()) for t in next(batches)) for _ in range(8)]
    start = 0.0
    for i in range(count + 5):
        if i == 5:
            start = time.perf_counter()
        lr, hr, _ = ready[i % len(ready)]
        half = half_precision(device())
        with torch.autocast(device().type, half, enabled=half is not None):
            sr = module.train_forwards[net.scale](lr.contiguous(memory_format=torch.channels_last))
            loss = module.criterion(sr, hr)["loss"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            for mean, now in zip(average.parameters(), net.parameters(), strict=True):
                mean.lerp_(now, 0.001)
    return (time.perf_counter() - start) / count
