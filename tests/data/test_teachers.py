import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from fdnn.cli.trainer import main
from fdnn.files.errors import UserError
from fdnn.files.digest import sha256
from fdnn.images.io import list_images
from fdnn.models import FDNN, FDNNDeep
from fdnn.data.pairs import PairStore
from fdnn.data.teachers import Teachers
from fdnn.models.weights import save_weights

ROOT = Path(__file__).parents[2]


@pytest.fixture
def weights(tmp_path) -> list[str]:
    """Two networks that make something of an image."""
    torch.manual_seed(0)
    files = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for net, file in zip((FDNN(3, channels=8), FDNNDeep(3, channels=8)), files, strict=True):
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


@pytest.mark.parametrize("half", [torch.bfloat16, None])
def test_half_precision_where_it_is_fast(weights, monkeypatch, half) -> None:
    found = []

    def forward(self: FDNN, lr: torch.Tensor) -> torch.Tensor:
        on = torch.is_autocast_enabled("cpu")
        found.append(torch.get_autocast_dtype("cpu") if on else None)
        return lr.repeat_interleave(3, 2).repeat_interleave(3, 3)

    monkeypatch.setattr(FDNN, "forward", forward)
    monkeypatch.setattr("fdnn.data.teachers.half_precision", lambda _: half)
    Teachers(weights[:1], 3).target(np.zeros((8, 8), np.float32))
    assert set(found) == {half}


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
    # Other teachers, or other images, are another file; a copy of the same images is not.
    assert store(Teachers(weights[:1], 3)).file != taught.file
    copy = shutil.copytree(photos, tmp_path / "copy", copy_function=shutil.copyfile)
    options = {"cache_dir": tmp_path / "c", "teachers": Teachers(weights, 3)}
    assert PairStore(list_images(copy), 3, 24, **options).file == taught.file
    shutil.copyfile(copy / "photo1.png", copy / "photo2.png")
    assert PairStore(list_images(copy), 3, 24, **options).file != taught.file


@torch.no_grad()
def test_bfloat16_costs_less_than_rounding() -> None:
    """Of shipped weights, on a photograph."""
    from skimage.data import camera

    teachers = Teachers([str(ROOT / "checkpoints" / "fdnn_x3")], 3)
    lr = camera()[200:260, 200:280].astype(np.float32)
    (net,) = teachers.nets
    exact = 255 * net(torch.from_numpy(lr)[None, None] / 255)[0, 0].clamp(0, 1).double().numpy()
    # Rounding alone has a mean square of 1 / 12; bfloat16 must add less than that.
    assert np.mean((teachers.target(lr) - exact) ** 2) < 2 / 12


def test_a_training_says_whom_it_learned_from(weights, tiny, tmp_path, capsys) -> None:
    def fit(*options: str) -> int:
        taught = ["--data.scale", "3", "--data.patch_size", "24", "--data.cache_dir", "cache"]
        return main(["fit", *tiny, *taught, *options])

    one, other = ([f"--data.teachers=[{path}]"] for path in weights)
    assert fit(*one) == 0
    record = json.loads((tmp_path / "logs/tiny/version_0/run.json").read_text())
    assert record["teachers"] == [{"path": weights[0], "sha256": sha256(Path(weights[0]))}]
    (file,) = (tmp_path / "cache").glob("*.bin")
    written = file.stat().st_mtime_ns
    more = ["--trainer.max_epochs", "3", "--ckpt_path", "last"]
    assert fit(*one, *more) == 0
    assert file.stat().st_mtime_ns == written
    capsys.readouterr()
    for others in (other, []):
        assert fit(*others, *more) == 1
        error = capsys.readouterr().err
        assert "the run that is resumed learned from teachers ['" in error
        assert error.count("\n") == 1


def test_teachers_of_another_scale_are_refused(weights) -> None:
    with pytest.raises(UserError, match="serve x3 only, not x4"):
        Teachers(weights, 4)
