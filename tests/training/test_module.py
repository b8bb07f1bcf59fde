import functools
from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fdnn.cli.trainer import main
from fdnn.models import FDNN, Bicubic
from fdnn.training.losses import MSEKLLoss, PixelLoss
from fdnn.training.module import SuperResolution


def test_default_optimizer_is_the_papers() -> None:
    optimizer = SuperResolution(FDNN(2, channels=2)).optimizer([nn.Parameter(torch.zeros(1))])
    assert isinstance(optimizer, torch.optim.Adam)
    group = optimizer.param_groups[0]
    assert (group["lr"], group["betas"], group["eps"]) == (0.001, (0.9, 0.999), 1e-8)


def test_schedules() -> None:
    class Trainer:
        estimated_stepping_batches = 100

    model = SuperResolution(FDNN(2, channels=2), schedule="cosine", warmup_steps=9, final_lr=0.1)
    model._trainer = Trainer()
    factors = [model._lr_factor(step) for step in (0, 4, 50, 100)]
    assert factors == [pytest.approx(x, abs=1e-2) for x in (0.1, 0.5, 0.55, 0.1)]
    constant = SuperResolution(FDNN(2, channels=2))
    assert [constant._lr_factor(step) for step in (0, 10_000)] == [1, 1]


def test_evaluation_ignores_training_precision() -> None:
    model = SuperResolution(FDNN(2, channels=8), PixelLoss())
    seen = []
    lr, hr = torch.rand(1, 1, 20, 20), torch.rand(1, 1, 40, 40).double() * 255
    batch = {"index": torch.tensor([0]), "lr": lr, "hr": hr}
    model.scores = [SimpleNamespace(update=lambda index, sr, hr: seen.append(sr))]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        model.validation_step(batch, 0)
    assert seen[0].dtype == torch.float32
    assert torch.equal(seen[0], 255 * model.net(lr).detach())


def test_bicubic_can_be_evaluated_without_parameters() -> None:
    assert SuperResolution(Bicubic(3)).scale == 3


def test_channels_last_changes_nothing() -> None:
    torch.manual_seed(0)
    net = FDNN(3, channels=8)
    lr = torch.rand(2, 1, 9, 8)
    plain = functools.reduce(lambda x, f: f(x), [net], lr).detach()
    assert torch.allclose(SuperResolution(net)(lr), plain, atol=1e-6)


class OwnLoss(nn.Module):
    """A user's, which knows of no mask."""

    def forward(self, sr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        return {"loss": (sr - hr).abs().sum()}


@pytest.mark.parametrize("loss", [PixelLoss(), MSEKLLoss(), OwnLoss()])
def test_pixels_that_do_not_count_teach_nothing(loss) -> None:
    lr, hr = torch.rand(2, 1, 8, 8), torch.rand(2, 1, 16, 16)
    valid = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    valid[0, :, 2:, :5] = True
    large = valid.repeat_interleave(2, 2).repeat_interleave(2, 3)

    class Data(pl.LightningDataModule):
        train_scales = (2,)
        steps_per_epoch = 1
        margin = 2

        def __init__(self, hr: Tensor) -> None:
            super().__init__()
            self.hr = hr

        def train_dataloader(self) -> DataLoader:
            return DataLoader([(lr, self.hr, valid)], batch_size=None)

    def learn(hr: Tensor) -> Tensor:
        torch.manual_seed(0)
        sgd = functools.partial(torch.optim.SGD, lr=0.1)
        model = SuperResolution(FDNN(2, channels=4), loss, sgd)
        options = {"logger": False, "enable_checkpointing": False, "accelerator": "cpu"}
        quiet = {"enable_progress_bar": False, "enable_model_summary": False}
        pl.Trainer(max_epochs=2, **options, **quiet).fit(model, datamodule=Data(hr))
        return torch.cat([p.detach().flatten() for p in model.net.parameters()])

    learned = learn(hr)
    assert torch.equal(learn(torch.where(large, hr, 0)), learned)
    assert not torch.allclose(learn(torch.where(large, 0, hr)), learned)


@pytest.mark.parametrize(
    ("options", "compiled"),
    [
        ({"max_epochs": 499}, False),
        ({"max_epochs": 500}, True),
        ({"max_epochs": -1}, True),
        ({"max_epochs": 9, "max_steps": 600}, False),
        ({"max_epochs": -1, "max_steps": 600}, True),
        ({"max_epochs": -1, "max_steps": 60}, False),
    ],
)
def test_long_trainings_are_compiled(options, compiled) -> None:
    model = SuperResolution(FDNN(2, channels=2))
    model.trainer = pl.Trainer(**options, logger=False, accelerator="cpu")
    model.trainer.datamodule = SimpleNamespace(steps_per_epoch=1)
    assert model._pays_to_compile() == compiled


@pytest.mark.parametrize("kind", [RuntimeError, ValueError, TypeError])
@pytest.mark.parametrize("place", [FDNN, MSEKLLoss])
def test_an_error_inside_a_users_own_code_keeps_its_traceback(
    tiny, monkeypatch, kind, place
) -> None:
    def broken(*_: object) -> None:
        raise kind("shapes cannot be multiplied")

    monkeypatch.setattr(place, "forward", broken)
    with pytest.raises(kind, match="shapes") as error:
        main(["fit", *tiny])
    assert error.traceback[-1].name == "broken"
