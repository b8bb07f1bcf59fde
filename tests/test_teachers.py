import pickle

import numpy as np
import pytest
import torch

from fdnn.errors import UserError
from fdnn.images import list_images
from fdnn.models import FDNN, FDNNPlus
from fdnn.patches import PairStore
from fdnn.teachers import Teachers
from fdnn.weights import save_weights


@pytest.fixture
def weights(tmp_path) -> list[str]:
    """Two networks that make something of an image."""
    torch.manual_seed(0)
    files = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for net, file in zip((FDNN(3, channels=8), FDNNPlus(3, channels=8)), files, strict=True):
        save_weights(net, file)
    return [str(file) for file in files]


@torch.no_grad()
def test_target_is_the_mean_over_networks_and_turns(weights, random) -> None:
    teachers = Teachers(weights, 3)
    lr = random.integers(60, 200, (14, 11)).astype(np.float32)
    means = []
    for net in teachers.nets:
        passes = []
        for mirrored in (lr, lr[:, ::-1]):
            for turns in range(4):
                turned = np.rot90(mirrored, turns).copy()
                sr = net.net(torch.from_numpy(turned)[None, None] / 255)[0, 0].numpy()
                back = np.rot90(sr, -turns)
                passes.append(back if mirrored is lr else back[:, ::-1])
        means.append(np.clip(np.mean(passes, axis=0) * 255, 0, 255))
    expected = np.mean(means, axis=0)
    target = teachers.target(lr)
    assert target.shape == (42, 33)
    assert target.dtype == np.uint8
    # bfloat16, and the rounding to 8 bits.
    assert np.abs(target - expected).max() < 2
    assert np.abs(target - expected).mean() < 0.5


def test_pairs_keep_their_lr_and_live_on_disk(weights, photos, tmp_path) -> None:
    def store(teachers: Teachers | None) -> PairStore:
        made = PairStore(list_images(photos), 3, 24, cache_dir=tmp_path / "c", teachers=teachers)
        made.load()
        return made

    plain, taught = store(None), store(Teachers(weights, 3))
    assert plain.file is None
    assert taught.file is not None
    for (hr, lr), (target, same) in zip(plain.pairs, taught.pairs, strict=True):
        assert np.array_equal(lr, same)
        assert np.array_equal(target, Teachers(weights, 3).target(lr))
        assert not np.array_equal(target, hr)
    assert len(pickle.dumps(taught)) < 10_000
    # Other teachers are another file.
    assert store(Teachers(weights[:1], 3)).file != taught.file


def test_teachers_of_another_scale_are_refused(weights) -> None:
    with pytest.raises(UserError, match="serve x3 only, not x4"):
        Teachers(weights, 4)
