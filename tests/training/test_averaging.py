from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.demos.boring_classes import BoringModel
from torch.utils.data import DataLoader

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


@pytest.mark.parametrize("start", [0, 7])
def test_resumed_averages_are_those_of_an_uninterrupted_run(tmp_path, start) -> None:
    """Bit by bit, both the averages and the weights that are trained."""

    def fit(steps: int, resumed: str | None = None) -> dict[str, Any]:
        pl.seed_everything(0)
        options: dict[str, Any] = {"logger": False, "accelerator": "cpu", "limit_val_batches": 2}
        quiet = {"enable_progress_bar": False, "enable_model_summary": False}
        trainer = pl.Trainer(
            max_epochs=steps // 3, limit_train_batches=3, enable_checkpointing=False,
            callbacks=[MovingAverage(0.9, start)], **options, **quiet,
        )  # fmt: skip
        data = DataLoader([torch.full((4, 32), i / 9) for i in range(3)], batch_size=None)
        model = BoringModel()
        file = tmp_path / f"{steps}.ckpt"

        class Save(pl.Callback):
            def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule):
                trainer.save_checkpoint(file)

        trainer.callbacks.append(Save())
        trainer.fit(model, data, model.val_dataloader(), ckpt_path=resumed)
        found = torch.load(file, weights_only=True)
        assert torch.equal(found["state_dict"]["layer.weight"], model.layer.weight)
        return found

    whole = fit(9)
    fit(6)
    resumed = fit(9, str(tmp_path / "6.ckpt"))
    for key in ("state_dict", "current_model_state"):
        assert all(torch.equal(v, resumed[key][k]) for k, v in whole[key].items())
    average, current = (whole[key]["layer.weight"] for key in ("state_dict", "current_model_state"))
    assert not torch.equal(average, current)
