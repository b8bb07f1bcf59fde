from types import SimpleNamespace

import torch

from fdnn.training import callbacks
from fdnn.training.callbacks import Throughput


def test_validation_inside_an_epoch_is_not_counted(monkeypatch) -> None:
    now = 0.0
    monkeypatch.setattr(callbacks.time, "perf_counter", lambda: now)
    trainer = SimpleNamespace(accumulate_grad_batches=1, world_size=1)
    logged: dict[str, float] = {}
    module = SimpleNamespace(log=logged.__setitem__)
    speed = Throughput(every=4)
    speed.on_train_epoch_start(trainer, module)
    for step in range(4):
        now += 0.5  # waiting
        speed.on_train_batch_start(trainer, module, None, step)
        now += 1.5
        speed.on_train_batch_end(trainer, module, None, [torch.zeros(8)], step)
        if step == 1:
            speed.on_validation_start(trainer, module)
            now += 100
            speed.on_validation_end(trainer, module)
    assert logged == {"speed/pairs_per_s": 4 * 8 / 8.0, "speed/data_wait": 0.25}
