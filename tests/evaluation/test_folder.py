import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from fdnn.cli.main import main
from fdnn.data.sets import find_set
from fdnn.evaluation.folder import match, score_folder
from fdnn.evaluation.score import score
from fdnn.images.io import read_image
from fdnn.images.luma import luma, modcrop, to_8_bit
from fdnn.images.resize import imresize
from fdnn.models import Bicubic


@pytest.fixture
def gray_sr(photos, tmp_path):
    """Bicubic's luma as 8-bit files, made without the evaluation code."""
    folder = tmp_path / "sr"
    folder.mkdir()
    for path in find_set(str(photos)).paths:
        y = torch.from_numpy(modcrop(luma(read_image(path)), 3).copy())
        sr = to_8_bit(imresize(imresize(y, 1 / 3), 3)).numpy().astype(np.uint8)
        Image.fromarray(sr).save(folder / f"{path.stem}_x3.png")
    return folder


def test_files_score_as_the_network_that_made_them(gray_sr, photos, capsys, tmp_path) -> None:
    images = find_set(str(photos))
    expected = score(Bicubic(3), images)
    options = ["--scale", "3", "--suffix", "_x3", "--name", "theirs"]
    output = ["--output", str(tmp_path / "scores")]
    assert main(["evaluate", str(gray_sr), str(photos), *options, *output]) == 0
    assert "theirs, measured" in capsys.readouterr().out
    written = json.loads((tmp_path / "scores" / "benchmark.json").read_text())
    scores = written["sets"]["photos"]
    assert scores["psnr"] == pytest.approx(expected.psnr, abs=1e-3)
    assert scores["ssim"] == pytest.approx(expected.ssim, abs=1e-5)
    assert written["protocol"]["scale"] == 3
    # Those of a fit or a test are not replaced.
    for name in ("run.json", "config.yaml"):
        file = tmp_path / "scores" / name
        file.touch()
        assert main(["evaluate", str(gray_sr), str(photos), *options, *output]) == 1
        assert "has the scores of a run; choose another folder" in capsys.readouterr().err
        file.unlink()


def test_images_of_set5_have_two_names(photos, tmp_path) -> None:
    hr, sr = tmp_path / "Set5", tmp_path / "made"
    hr.mkdir()
    sr.mkdir()
    source = find_set(str(photos)).paths[0]
    shutil.copy(source, hr / "img_001_SRF_2_HR.png")
    for name in ("baby", "img_001_SRF_2_HR"):
        file = sr / f"{name}_x3.png"
        shutil.copy(source, file)
        assert match(find_set(str(hr)), sr, "_x3") == [file]  # the file's own name comes first


def test_colour_and_uncropped_files(photos, tmp_path, random) -> None:
    images = find_set(str(photos))
    folder = tmp_path / "sr"
    folder.mkdir()
    expected = []
    for path in images.paths:
        hr = read_image(path)
        sr = np.clip(hr + random.integers(-9, 10, hr.shape), 0, 255).astype(np.uint8)
        Image.fromarray(sr).save(folder / path.name)
        y, y_hr = (np.floor(modcrop(luma(x), 5)[5:-5, 5:-5] + 0.5) for x in (sr, hr))
        expected.append(peak_signal_noise_ratio(y_hr, y, data_range=255))
    measured = score_folder(folder, images, 5)
    assert [p for p, _ in measured.per_image] == pytest.approx(expected, abs=1e-9)


def test_gray_images_that_a_program_wrote_as_rgb(photos, gray_sr, tmp_path) -> None:
    (tmp_path / "gray").mkdir()
    (tmp_path / "rgb").mkdir()
    for path in find_set(str(photos)).paths:
        Image.open(path).convert("L").save(tmp_path / "gray" / path.name)
        Image.open(gray_sr / f"{path.stem}_x3.png").convert("RGB").save(
            tmp_path / "rgb" / path.name
        )
    images = find_set(str(tmp_path / "gray"))
    expected = score_folder(gray_sr, images, 3, "_x3")
    assert score_folder(tmp_path / "rgb", images, 3).per_image == expected.per_image


def test_gray_files_of_hr_images_in_rgb(photos, tmp_path, caplog) -> None:
    for name in ("gray", "rgb"):
        (tmp_path / name).mkdir()
    for path in find_set(str(photos)).paths:
        gray = Image.open(path).convert("L")
        gray.save(tmp_path / "gray" / path.name)
        gray.convert("RGB").save(tmp_path / "rgb" / path.name)
    scores = score_folder(tmp_path / "gray", find_set(str(tmp_path / "rgb")), 3)
    assert scores.psnr == float("inf")
    assert not caplog.records
    score_folder(tmp_path / "gray", find_set(str(photos)), 3)
    assert "photo0.png is gray, its HR image is not: taken for luma" in caplog.text


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda sr: None, [], "no SR image named 'photo0' (6 of 6 missing)"),
        (lambda sr: (sr / "photo3_x3.png").unlink(), ["--suffix", "_x3"], "1 of 6 missing"),
        (
            lambda sr: Image.new("L", (9, 9)).save(sr / "photo0_x3.png"),
            ["--suffix", "_x3"],
            "9x9 pixels, but its HR image has 96x72",
        ),
        (
            lambda sr: (sr / "photo0_x3.png").write_bytes(b"no"),
            ["--suffix", "_x3"],
            "not an image",
        ),
        (
            lambda sr: Image.new("L", (9, 9)).save(sr / "photo0_x3.bmp"),
            ["--suffix", "_x3"],
            "same name",
        ),
        (
            lambda sr: Image.new("L", (9, 9)).save(sr.parent / "photos" / "photo0.bmp"),
            ["--suffix", "_x3"],
            "photo0.bmp and",
        ),
        (lambda sr: None, ["--scale", "0"], "at least 1, got 0"),
        (lambda sr: None, ["--output", __file__], "test_folder.py is a file; name a folder"),
    ],
)
def test_mistakes_give_one_line(change, options, message, gray_sr, photos, capsys) -> None:
    change(gray_sr)
    assert main(["evaluate", str(gray_sr), str(photos), "--scale", "3", *options]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
