from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.demos.boring_classes import BoringModel

from fdnn.training.averaging import MovingAverage


def train(*callbacks: pl.Callback) -> torch.Tensor:
    pl.seed_everything(0)
    model = BoringModel()
    options = {"logger": False, "enable_checkpointing": False, "accelerator": "cpu"}
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "limit_val_batches": 0}
    pl.Trainer(max_steps=9, callbacks=list(callbacks), **options, **quiet).fit(model)
    return model.layer.weight.detach()


@pytest.mark.parametrize("start", [0, 1, 5])
def test_from_its_start_it_is_lightnings(start) -> None:
    expected = train(EMAWeightAveraging(decay=0.9, update_starting_at_step=start))
    assert torch.allclose(train(MovingAverage(0.9, start)), expected, rtol=0, atol=1e-6)
    assert not torch.allclose(train(), expected, rtol=0, atol=1e-3)


def test_until_then_it_is_the_current_weights() -> None:
    assert torch.equal(train(MovingAverage(0.9, start=9)), train())


def test_senseless_numbers() -> None:
    for decay, start in ((1.0, 0), (-0.1, 0), (0.9, -1)):
        with pytest.raises(ValueError, match="must lie in"):
            MovingAverage(decay, start)


def test_counters_are_copied() -> None:
    """Of batch normalisation: a mean of whole numbers would be cut off."""

    class Counting(BoringModel):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("batches", torch.tensor(0))

        def training_step(self, batch: torch.Tensor, batch_idx: int) -> Any:
            self.batches += 1
            return super().training_step(batch, batch_idx)

    options = {"logger": False, "enable_checkpointing": False, "accelerator": "cpu"}
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "limit_val_batches": 0}
    model = Counting()
    pl.Trainer(max_steps=9, callbacks=[MovingAverage(0.9)], **options, **quiet).fit(model)
    assert model.batches == 9


def test_the_average_lies_where_training_is() -> None:
    """Lightning asks for the device before it has moved the weights there."""
    average = MovingAverage()
    trainer: Any = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("meta")))
    average.setup(trainer, BoringModel(), "fit")
    assert {p.device.type for p in average._average_model.parameters()} == {"meta"}
