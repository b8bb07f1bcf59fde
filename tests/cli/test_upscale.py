"""The command ``fdnn``, run in this process and once in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fdnn import load, upscale
from fdnn.cli.main import fdnn

PHOTO = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)


@pytest.fixture
def photo(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(PHOTO).save("photo.png")
    return tmp_path / "photo.png"


def test_a_photo_is_upscaled_beside_itself(photo, capsys) -> None:
    assert fdnn(["photo.png"]) == 0
    with Image.open("photo_x3.png") as result:
        assert np.array_equal(np.asarray(result), upscale(PHOTO))
    assert "photo_x3.png" in capsys.readouterr().out


def test_existing_results_are_kept_unless_told(photo, capsys) -> None:
    Path("photo_x3.png").write_text("mine")
    assert fdnn(["photo.png"]) == 0
    assert Path("photo_x3.png").read_text() == "mine"
    assert "kept 1 existing" in capsys.readouterr().out
    assert fdnn(["photo.png", "--overwrite"]) == 0
    assert Image.open("photo_x3.png").size == (36, 27)


@pytest.mark.parametrize("scale", [2, 4])
def test_scale_chooses_the_weights(scale, photo) -> None:
    assert fdnn(["upscale", "photo.png", "--scale", str(scale), "--output", "large"]) == 0
    with Image.open(f"large/photo_x{scale}.png") as result:
        assert np.array_equal(np.asarray(result), upscale(PHOTO, load(f"fdnn_x{scale}")))


def test_weights_by_name(photo) -> None:
    assert fdnn(["photo.png", "--weights", "espcn_x3", "--suffix", "_espcn"]) == 0
    with Image.open("photo_espcn.png") as result:
        assert np.array_equal(np.asarray(result), upscale(PHOTO, "espcn_x3"))


def test_a_folder_is_not_upscaled_twice(photo) -> None:
    Path("sub").mkdir()
    Image.fromarray(PHOTO).save("sub/other.png")
    for _ in range(2):
        assert fdnn(["upscale", "."]) == 0
    names = sorted(str(path) for path in Path().rglob("*.png"))
    assert names == ["photo.png", "photo_x3.png", "sub/other.png", "sub/other_x3.png"]


def test_a_broken_image_does_not_stop_the_others(photo, capsys) -> None:
    Path("broken.png").write_bytes(photo.read_bytes()[:60])
    assert fdnn(["broken.png", "photo.png"]) == 1
    assert Image.open("photo_x3.png").size == (36, 27)
    assert "broken.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nope.png"], "no such file or folder: "),
        (["photo.png", "--scale", "5"], "--scale must be 2, 3 or 4, got 5"),
        (["photo.png", "--scale", "2", "--weights", "fdnn_x3"], "x3"),
        (["photo.png", "--weights", "nope_x3"], "no weights 'nope_x3'"),
        (["photo.png", "--device", "tpu"], "no device 'tpu'"),
        (["photo.png", "--max-pixels", "0"], "--max-pixels must be at least 1, got 0"),
        (["photo.png", "--max-pixels", "9"], "photo.png"),
        (["fit"], "fdnn train fit"),
    ],
)
def test_mistakes_are_one_line(args, message, photo, capsys) -> None:
    assert fdnn(args) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert message in lines[0]


def test_it_starts_without_lightning(photo) -> None:
    code = (
        "import sys; from fdnn.cli.main import fdnn; status = fdnn(['photo.png']);"
        "heavy = {'lightning', 'albumentations', 'wandb', 'torchmetrics', 'skimage'};"
        "print(sorted(heavy & set(sys.modules))); sys.exit(status)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


def test_the_module_is_the_command(photo) -> None:
    command = [sys.executable, "-m", "fdnn", "photo.png"]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert Path("photo_x3.png").is_file()


def test_help_names_every_command(capsys) -> None:
    assert fdnn(["--help"]) == 0
    out = capsys.readouterr().out
    names = ("upscale", "evaluate", "export", "demo", "fit", "test", "predict")
    assert all(name in out for name in names)


def test_a_result_of_another_scale_is_not_taken_for_this_one(photo, capsys) -> None:
    options = ["photo.png", "--suffix", "", "--output", "large"]
    assert fdnn([*options, "--scale", "2"]) == 0
    assert fdnn([*options, "--scale", "3"]) == 1
    assert "large/photo.png exists and is not x3 of photo.png" in capsys.readouterr().err
    with Image.open("large/photo.png") as result:
        assert result.size == (24, 18)
    assert fdnn([*options, "--scale", "2"]) == 0
    assert fdnn([*options, "--scale", "3", "--overwrite"]) == 0
    with Image.open("large/photo.png") as result:
        assert result.size == (36, 27)
