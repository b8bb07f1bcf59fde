import json

import pytest
import torch

import fit_scsr
from fdnn.data.sets import find_set
from fdnn.evaluation.score import score
from fdnn.models import Bicubic, ScSR
from fdnn.models.weights import load
from fitted import hr_images, main


@pytest.fixture
def small(monkeypatch) -> None:
    monkeypatch.setattr(fit_scsr, "ROUNDS", 2)
    monkeypatch.setattr(fit_scsr, "PATCHES", 2000)


def test_a_small_fit_beats_bicubic_and_repeats(small, photos) -> None:
    images = hr_images(find_set(str(photos)), 2)
    net, count = fit_scsr.fit(images[:5], 2, 0, atoms=64)
    assert count == 2000
    held_out = find_set(str(photos))
    ours, theirs = score(net, held_out), score(Bicubic(2), held_out)
    assert ours.per_image[5][0] > theirs.per_image[5][0] + 0.1
    again, _ = fit_scsr.fit(images[:5], 2, 0, atoms=64)
    assert torch.equal(net.low, again.low)
    assert torch.equal(net.high, again.high)
    other, _ = fit_scsr.fit(images[:5], 2, 1, atoms=64)
    assert not torch.equal(net.low, other.low)


def test_textures_lie_where_gradients_do() -> None:
    """A bright LR pixel's own patch is the one with the strongest texture."""
    hr = torch.zeros(1, 1, 36, 36, dtype=torch.float64)
    hr[..., 15:18, 15:18] = 1
    low, high = fit_scsr.pairs([hr], 3)
    assert low.shape[1:] == (144,)
    assert high.shape[1:] == (81,)
    # The patch whose middle it is has symmetric texture.
    middle = high.view(-1, 9, 9)[(high.view(-1, 9, 9)[:, 4, 4] > 0.5).nonzero()[:, 0]]
    assert any(torch.allclose(p, p.flip(0), atol=1e-6) for p in middle)


def test_one_command_leaves_weights_and_card(small, photos, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(fit_scsr, "ATOMS", 32)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FDNN_DATA", "none")
    assert (
        main("scsr", fit_scsr.fit, fit_scsr.DEPARTURES, ["--scale", "2", "--images", str(photos)])
        == 0
    )
    folder = tmp_path / "logs" / "scsr_x2"
    assert isinstance(load(folder), ScSR)
    assert json.loads((folder / "run.json").read_text())["patches"] == 2000
    assert "orthogonal matching pursuit" in (folder / "README.md").read_text()
    assert (
        main("scsr", fit_scsr.fit, fit_scsr.DEPARTURES, ["--scale", "3", "--images", "gone"]) == 1
    )
    assert "error: image set 'gone'" in capsys.readouterr().err
