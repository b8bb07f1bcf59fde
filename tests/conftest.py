import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import yaml
from PIL import Image

from fdnn.data.pairs import PairStore
from fdnn.images.io import list_images
from fdnn.training.callbacks import Throughput

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "data_prep"))
os.environ["WANDB_MODE"] = "disabled"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of the published image sets; tests that need it fail in CI without it."""
    root = os.environ.get("FDNN_DATA", "")
    if not Path(root, "Set5").is_dir():
        missing(f"set FDNN_DATA to the image sets (python data_prep/fetch.py); it is {root!r}")
    return Path(root).resolve()


@pytest.fixture(scope="session")
def oracle(data) -> Path:
    """The folder of MATLAB's own outputs, which fetch.py does not get."""
    if not (data / "matlab_oracle").is_dir():
        missing(f"no images made by MATLAB in {data}/matlab_oracle")
    return data / "matlab_oracle"


def missing(reason: str) -> NoReturn:
    """Skip a test, but fail it in CI."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def photos(tmp_path: Path, random: np.random.Generator) -> Path:
    """A folder of six small colour images with structure."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(6):
        small = random.integers(0, 256, (9 + i, 12, 3), dtype=np.uint8)
        Image.fromarray(small).resize((96, 72 + 8 * i), Image.Resampling.BICUBIC).save(
            folder / f"photo{i}.png"
        )
    return folder


@pytest.fixture
def store(photos) -> Callable[..., PairStore]:
    """Makes the pairs of these photographs; its options are those of the class."""

    def make(**options: Any) -> PairStore:
        made = PairStore(list_images(photos), **{"scale": 3, "patch_size": 24, **options})
        made.load()
        return made

    return make


@pytest.fixture
def tiny(photos, tmp_path, monkeypatch) -> list[str]:
    """Options that make every config train a small network on small photographs."""
    monkeypatch.chdir(tmp_path)
    config = {
        "data": {
            "scale": 2,
            "train_sets": [str(photos)],
            "val_sets": [str(photos)],
            "test_sets": [str(photos)],
            "patch_size": 16,
            "batch_size": 4,
            "steps_per_epoch": 3,
            "num_workers": 0,
        },
        "model": {"net": {"class_path": "fdnn.models.FDNN", "init_args": {"channels": 4}}},
        "trainer": {
            "max_epochs": 2,
            "accelerator": "cpu",
            "num_sanity_val_steps": 0,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "log_every_n_steps": 1,
            "callbacks": [
                {
                    "class_path": "fdnn.training.averaging.MovingAverage",
                    "init_args": {"decay": 0.5},
                },
                {
                    "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
                    "init_args": {
                        "filename": "last",
                        "enable_version_counter": False,
                        "save_on_train_epoch_end": True,
                    },
                },
                {"class_path": "fdnn.training.callbacks.Throughput", "init_args": {"every": 1}},
                {"class_path": "fdnn.training.callbacks.PictureStrips"},
            ],
        },
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    return ["--config", "tiny.yaml"]


@pytest.fixture
def stop_after(monkeypatch) -> Callable[..., None]:
    """Lets this process be told to stop while it trains, once: in the step after so many."""
    start = Throughput.on_train_batch_start
    sent: list[int] = []  # a second signal would end us at once

    def arrange(steps: int, signum: int = signal.SIGTERM) -> None:
        def told_to_stop(self: Throughput, trainer: Any, *args: Any) -> None:
            if trainer.global_step == steps and not sent:
                sent.append(signum)
                os.kill(os.getpid(), signum)
            start(self, trainer, *args)

        monkeypatch.setattr(Throughput, "on_train_batch_start", told_to_stop)

    return arrange
