import numpy as np
import pytest
from PIL import Image

from fdnn.images.io import read_image
from make_lr import main


def test_makes_matlabs_files(oracle, tmp_path) -> None:
    hr = tmp_path / "hr"
    hr.mkdir()
    (hr / "baboon.png").write_bytes((oracle / "r2017b_baboon.png").read_bytes())
    assert main([str(hr), str(tmp_path / "lr"), "--scale", "3", "--hr", str(tmp_path / "cut")]) == 0
    expected = read_image(oracle / "r2017b_baboon_down_x3_matlab.png")
    assert np.array_equal(read_image(tmp_path / "lr" / "baboon.png"), expected)
    assert read_image(tmp_path / "cut" / "baboon.png").shape == (480, 492, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone", "out", "--scale", "3"], "no such image folder"),
        (["photos", "photos", "--scale", "3"], "overwritten"),
        (["photos", "out", "--scale", "3", "--hr", "out/../out"], "the same name"),
        (["photos", "own", "--scale", "3"], "own/photo1.png exists"),
        (["wide", "out", "--scale", "3", "--generation", "legacy_uint8"], "8-bit images only"),
    ],
)
def test_mistakes(photos, tmp_path, monkeypatch, capsys, arguments, message) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wide").mkdir()
    (tmp_path / "own").mkdir()
    Image.fromarray(np.zeros((9, 9), np.uint16)).save(tmp_path / "wide" / "x.png")
    (tmp_path / "own" / "photo1.png").write_bytes(b"mine")
    assert main(arguments) == 1
    assert (tmp_path / "own" / "photo1.png").read_bytes() == b"mine"
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
