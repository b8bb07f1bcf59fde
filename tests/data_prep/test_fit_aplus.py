import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fit_aplus
import fit_scsr
from fdnn.data.sets import find_set
from fdnn.evaluation.report import JSON_NAME
from fdnn.evaluation.score import score
from fdnn.files.digest import sha256
from fdnn.models import APlus, Bicubic
from fdnn.models.weights import FILE_NAME, load
from fitted import SMALLEST, card, hr_images, main


@pytest.fixture
def small(monkeypatch) -> None:
    monkeypatch.setattr(fit_aplus, "ROUNDS", 2)
    monkeypatch.setattr(fit_aplus, "SIZES", 2)


@pytest.mark.parametrize("scale", [2, 3])
def test_a_small_fit_beats_bicubic_and_repeats(small, scale, photos) -> None:
    images = hr_images(find_set(str(photos)), scale)
    net, count = fit_aplus.fit(images[:5], scale, 0, atoms=16, most=4000, count=256)
    assert count == 4000  # of all that there are, so many were asked for
    held_out = find_set(str(photos))
    ours, theirs = score(net, held_out), score(Bicubic(scale), held_out)
    assert ours.per_image[5][0] > theirs.per_image[5][0] + 0.3
    again, _ = fit_aplus.fit(images[:5], scale, 0, atoms=16, most=4000, count=256)
    other, _ = fit_aplus.fit(images[:5], scale, 1, atoms=16, most=4000, count=256)
    for key, value in net.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
    assert not torch.equal(net.anchors, other.anchors)


def test_principal_directions_keep_the_energy(photos) -> None:
    images = hr_images(find_set(str(photos)), 3)
    projection, kept = fit_aplus.principal(images, 3, 0.999)
    assert torch.allclose(projection @ projection.T, torch.eye(len(projection)).double())
    whole = torch.cat(
        [fit_aplus.cut(fit_aplus.border_maps(fit_aplus.enlarged(hr, 3), 3), 3, 2) for hr in images]
    )
    share = kept.double().square().sum() / whole.square().sum()
    # numpy's singular values say how many directions that takes.
    energies = np.linalg.svd(whole.numpy(), compute_uv=False) ** 2
    needed = int((energies.cumsum() / energies.sum() < 0.999).sum()) + 1
    assert len(projection) == needed
    assert share >= 0.999


def test_samples_describe_as_the_network_does(small, photos) -> None:
    images = hr_images(find_set(str(photos)), 3)[:1]
    projection, _ = fit_aplus.principal(images, 3, 0.99)
    low, high = fit_aplus.samples(images, 3, projection, 10**6)
    net = APlus(3, len(projection), 1)
    net.projection.copy_(projection.view_as(net.projection))
    described = net.describe(fit_aplus.enlarged(images[0], 3))[0]
    # Patches that stay one LR pixel away from the border.
    inner = described[:, 3:-3, 3:-3].flatten(1).T.float()
    expected = torch.nn.functional.normalize(inner)
    assert torch.allclose(low[: len(inner)], expected, atol=1e-4)
    assert len(low) == len(high) > len(inner)  # a second, smaller copy follows


def test_neighbours_are_the_most_correlated() -> None:
    torch.manual_seed(0)
    low = torch.nn.functional.normalize(torch.randn(20_000, 6))
    atoms = low[:20]
    for count in (5, 500, 30_000):
        found = fit_aplus.neighbours(low, atoms, count)
        order = np.argsort(-(atoms @ low.T).numpy(), axis=1, kind="stable")[:, :count]
        for index, expected in zip(found, order, strict=True):
            assert set(index.tolist()) == set(expected.tolist())


def test_regressors_are_ridge_regressions(random) -> None:
    low, high = random.standard_normal((40, 3)), random.standard_normal((40, 4))
    [matrix] = fit_aplus.regressors(
        torch.from_numpy(low), torch.from_numpy(high), [torch.arange(30)]
    )
    # A ridge is least squares with sqrt(lambda) e_i as further samples whose target is 0.
    x = np.vstack([low[:30], np.sqrt(0.1) * np.eye(3)])
    y = np.vstack([high[:30], np.zeros((3, 4))])
    expected = np.linalg.lstsq(x, y, rcond=None)[0].T
    np.testing.assert_allclose(matrix.numpy(), expected, atol=1e-5)


def test_one_command_leaves_weights_and_card(small, photos, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(fit_aplus, "ATOMS", 16)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FDNN_DATA", "sets")
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "Set5").symlink_to(photos)
    assert (
        main(
            "aplus",
            fit_aplus.fit,
            fit_aplus.DEPARTURES,
            ["--scale", "2", "--images", str(photos), "--seed", "7"],
        )
        == 0
    )
    folder = tmp_path / "logs" / "aplus_x2"
    net = load(folder)
    assert isinstance(net, APlus)
    assert len(net.anchors) == 16
    record = json.loads((folder / "run.json").read_text())
    assert record["seed"] == 7
    assert record["weights_sha256"] == sha256(folder / FILE_NAME)
    assert record["parameters"] == sum(p.numel() for p in net.parameters())
    scores = json.loads((folder / JSON_NAME).read_text())
    assert list(scores["sets"]) == ["Set5"]
    text = (folder / "README.md").read_text()
    for fact in (f"{scores['sets']['Set5']['psnr']:.3f}", record["weights_sha256"], "| 7 |"):
        assert fact in text
    assert "not scored: image set Set14 is not at" in capsys.readouterr().err
    # Not the shipped weights' command, which would print their scores.
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "aplus_x2.yaml").touch()
    told = card(Path("logs/aplus_x2"), record, scores, "* none")
    assert "--config configs/aplus_x2.yaml --ckpt_path logs/aplus_x2`" in told
    words = ["--scale", "2", "--images", "gone"]
    assert main("aplus", fit_aplus.fit, fit_aplus.DEPARTURES, words) == 1
    assert f"{FILE_NAME} exists; choose another folder" in capsys.readouterr().err
    assert main("aplus", fit_aplus.fit, fit_aplus.DEPARTURES, [*words, "--overwrite"]) == 1
    assert "image set 'gone'" in capsys.readouterr().err
    assert record["weights_sha256"] == sha256(folder / FILE_NAME)


def test_what_cannot_be_fitted_is_refused_at_once(tmp_path, capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        main("aplus", fit_aplus.fit, fit_aplus.DEPARTURES, ["--scale", "9"])
    assert "--scale must be 2 to 8, got 9" in capsys.readouterr().err
    Image.new("L", (20, 90)).save(tmp_path / "narrow.png")
    words = ["--scale", "3", "--images", str(tmp_path)]
    assert main("aplus", fit_aplus.fit, fit_aplus.DEPARTURES, words) == 1
    error = capsys.readouterr().err
    assert "narrow.png: 20x90 is too small to be fitted to at x3: at least 24 pixels" in error


@pytest.mark.parametrize("scale", [2, 8])
def test_the_smallest_images_that_are_taken_can_be_fitted(scale, tmp_path, random) -> None:
    pixels = random.integers(0, 256, (SMALLEST * scale, SMALLEST * scale), dtype=np.uint8)
    for i in range(9):
        Image.fromarray(np.roll(pixels, i)).save(tmp_path / f"{i}.png")
    images = hr_images(find_set(str(tmp_path)), scale)
    for fit in (fit_aplus.fit, fit_scsr.fit):
        net, _ = fit(images, scale, 0, atoms=9)
        assert net.scale == scale


def test_mistakes_are_one_line(photos, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        main("aplus", fit_aplus.fit, fit_aplus.DEPARTURES, ["--scale", "3", "--images", "gone"])
        == 1
    )
    error = capsys.readouterr().err
    assert error.startswith("error: image set 'gone'")
    assert error.count("\n") == 1
    assert (
        main(
            "aplus", fit_aplus.fit, fit_aplus.DEPARTURES, ["--scale", "4", "--images", str(photos)]
        )
        == 1
    )
    assert "patches are too few for 1,024 atoms" in capsys.readouterr().err
