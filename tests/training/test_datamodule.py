import shutil
import signal
import subprocess
import sys

import pytest
import torch

from fdnn.data.patches import TrainingBatches
from fdnn.files.errors import UserError
from fdnn.training.datamodule import SRDataModule, StepSampler


def test_step_sampler_goes_on_where_training_stands() -> None:
    class Standing:
        def __init__(self, steps: int) -> None:
            self.global_step = steps

    assert list(StepSampler(4, 1, None)) == [0, 1, 2, 3]
    assert list(StepSampler(4, 1, Standing(8))) == [8, 9, 10, 11]
    assert list(StepSampler(4, 1, Standing(6))) == [6, 7, 8, 9]
    assert list(StepSampler(2, 3, Standing(6))) == [18, 19, 20, 21, 22, 23]
    assert len(StepSampler(4, 3, None)) == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 1}, "scale must be at least 2, got 1"),
        (
            {"scale": 3, "patch_size": 70},
            "patch_size=70 must be a multiple of every scale, here of 3",
        ),
        (
            {"scale": 2, "train_scales": [2, 5]},
            "patch_size=72 must be a multiple of every scale, here of 5",
        ),
        ({"scale": 3, "batch_size": 0}, "batch_size=0"),
        ({"scale": 3, "resized_copies": [1.5]}, "between 0 and 1"),
        ({"scale": 3, "full_range": 2}, "full_range must lie between 0 and 1, got 2"),
        ({"scale": 3, "num_workers": -1}, "num_workers must be at least 0, got -1"),
    ],
)
def test_senseless_numbers(options, message) -> None:
    with pytest.raises(UserError, match=message):
        SRDataModule(**options)


def test_own_folder_trains(photos) -> None:
    data = SRDataModule(3, [str(photos)], [str(photos)], patch_size=24, batch_size=4, num_workers=0)
    data.setup("fit")
    lr, hr, counts = next(iter(data.train_dataloader()))
    assert (lr.shape, hr.shape) == ((4, 1, 8, 8), (4, 1, 24, 24))
    assert counts.shape == lr.shape
    (loader,) = data.val_dataloader()
    assert len(loader) == 6


def test_batches_from_a_worker_are_the_same(photos) -> None:
    batches = []
    for workers in (0, 1):
        data = SRDataModule(
            3, [str(photos)], [], [], patch_size=24, batch_size=4, num_workers=workers
        )
        data.setup("fit")
        batches.append(data.on_before_batch_transfer(next(iter(data.train_dataloader())), 0))
    for here, there in zip(*batches, strict=True):
        assert isinstance(there, torch.Tensor)
        assert torch.equal(here, there)


def test_seed_and_margin_reach_the_batches(photos) -> None:
    options = {"patch_size": 24, "batch_size": 64, "num_workers": 0}
    data = SRDataModule(3, [str(photos)], [], [], margin=2, seed=5, **options)
    data.setup("fit")
    expected = TrainingBatches(data.stores[0], 64, 5, margin=2)[0]
    assert all(map(torch.equal, next(iter(data.train_dataloader())), expected))
    assert not expected[2].all()


def test_every_process_has_an_image_to_score(photos, monkeypatch) -> None:
    """One without would not take part when scores are brought together, and all would wait."""
    data = SRDataModule(3, [], [str(photos)])
    monkeypatch.setattr(data, "_world_size", lambda: 8)
    shares = []
    for rank in range(8):
        monkeypatch.setattr(data, "_rank", lambda rank=rank: rank)
        (loader,) = data.val_dataloader()
        shares.append([int(item["index"]) for item in loader])
    assert shares == [[0], [1], [2], [3], [4], [5], [0], [1]]


def test_sets_of_one_name(photos, tmp_path) -> None:
    other = tmp_path / "more" / "photos"
    shutil.copytree(photos, other)
    data = SRDataModule(3, [], [str(photos)], [str(photos), str(other)])
    data.setup("validate")
    with pytest.raises(UserError, match="would both be called photos"):
        data.setup("test")


def test_nothing_to_train_on() -> None:
    with pytest.raises(UserError, match="train_sets is empty"):
        SRDataModule(3, train_sets=[]).setup("fit")


KILLED = """
import os, signal
import numpy as np
from torch.utils.data import DataLoader
from fdnn.training.datamodule import _begin_worker

def much(item):
    return np.zeros(1 << 20)  # more than a pipe holds

batches = iter(DataLoader(
    range(99), None, num_workers=1, worker_init_fn=_begin_worker, collate_fn=much
))
next(batches)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_workers_end_with_a_trainer_that_is_killed() -> None:
    """The worker holds the other end of the pipe, and would keep it open."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED], stdout=subprocess.PIPE, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL
