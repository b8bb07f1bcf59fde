import json

import pytest
import torch

from fdnn.files.digest import sha256
from fdnn.models import FDNN, APlus
from fdnn.models.cost import multiply_adds
from fdnn.models.weights import FILE_NAME, save_weights
from tools.benchmark.zoo import main, photograph


def test_systems_are_counted_and_timed(tmp_path, capsys) -> None:
    torch.manual_seed(0)
    fdnn, aplus = FDNN(3, channels=4), APlus(2, features=5, atoms=6)
    for weight in aplus.parameters():
        weight.copy_(torch.rand_like(weight))
    folders = []
    for name, net in (("fdnn_x3", fdnn), ("aplus_x2", aplus)):
        folders.append(tmp_path / name)
        save_weights(net, folders[-1] / FILE_NAME)
    out = tmp_path / "zoo_speed"
    options = ["--output", str(out), "--repeats", "2", "--side", "50"]
    assert main([*map(str, folders), *options]) == 0
    systems = json.loads((out / "speed.json").read_text())["systems"]
    assert list(systems) == ["fdnn_x3", "aplus_x2"]
    first, second = systems.values()
    assert (first["model"], first["scale"]) == ("FDNN", 3)
    assert first["weights_sha256"] == sha256(folders[0] / FILE_NAME)
    assert first["multiply_adds"] == pytest.approx(multiply_adds(fdnn))
    # Of 25x25 pixels 27x27 patches: 4 maps of 6x6 to 5 features, 6 atoms, 36 pixels.
    by_hand = 27**2 * (4 * 36 * 5 + 5 * 6 + 5 * 36) / 50**2
    assert second["multiply_adds"] == pytest.approx(by_hand)
    assert second["parameters"] == 5 * 4 * 36 + 6 * 5 + 6 * 36 * 5
    time = first["seconds_per_megapixel"]
    assert 0 < time["low"] <= time["median"] <= time["high"]
    assert "aplus_x2" in capsys.readouterr().out


def test_photograph_has_content_and_fits() -> None:
    lr = photograph(3, 1000)
    assert lr.shape == (1, 1, 333, 333)
    assert 0 <= float(lr.min()) < 0.2 < 0.7 < float(lr.max()) <= 1


def test_missing_weights_give_one_line(tmp_path, capsys) -> None:
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: no weights at")
