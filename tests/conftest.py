import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "data_prep"))
os.environ["WANDB_MODE"] = "disabled"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of the published image sets; tests that need it fail in CI without it."""
    root = os.environ.get("FDNN_DATA")
    if root and Path(root, "Set5").is_dir():
        return Path(root).resolve()
    reason = f"set FDNN_DATA to the image sets (python data_prep/fetch.py); it is {root!r}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


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
