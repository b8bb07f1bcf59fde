import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from fdnn.cli.trainer import main
from fdnn.images.io import read_image
from fdnn.models import FDNN
from fdnn.models.weights import FILE_NAME, save_weights
from fdnn.training.module import SuperResolution
from fdnn.training.trainer import Trainer

ROOT = Path(__file__).parents[2]
TRAIN = [sys.executable, str(ROOT / "src" / "train.py")]


@pytest.fixture
def predict(tmp_path, monkeypatch) -> list[str]:
    """Words of a command that magnifies by bicubic x2."""
    monkeypatch.chdir(tmp_path)
    config = {
        "data": {"scale": 2},
        "model": {"net": {"class_path": "fdnn.models.Bicubic"}},
        "trainer": {
            "accelerator": "cpu",
            # That of training, which makes room for the one of predict.
            "callbacks": [{"class_path": "lightning.pytorch.callbacks.RichProgressBar"}],
        },
    }
    (tmp_path / "bicubic.yaml").write_text(yaml.safe_dump(config))
    return ["predict", "--config", "bicubic.yaml"]


def names(folder: Path) -> list[str]:
    """All files below, hidden ones too."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def save(path: Path, size=(6, 5), **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 40, 90)).save(path, **options)
    return path


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


def test_a_tree_of_files(predict, tmp_path, capsys) -> None:
    for name in ("a.png", "deep/er/b c.jpg", "Ähre 日本/ü.webp"):
        save(tmp_path / "in" / name)
    first = save(tmp_path / "in" / "x.gif")
    Image.new("RGB", (6, 5)).save(
        first, save_all=True, append_images=[Image.new("RGB", (6, 5), "red")], duration=50
    )
    assert main([*predict, "--input", "in", "--suffix", "_x2", "--format", "png"]) == 0
    out = capsys.readouterr().out
    expected = ["a_x2.png", "deep/er/b c_x2.png", "x_x2.png", "Ähre 日本/ü_x2.png"]
    assert names(tmp_path / "upscaled") == expected
    assert read_image(tmp_path / "upscaled" / "deep" / "er" / "b c_x2.png").shape == (10, 12, 3)
    assert "4 images written to upscaled" in out
    assert "images/s" in out
    assert "left" in out


def test_weights_can_be_named_from_python(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_weights(FDNN(2, channels=4, init="spread"), tmp_path / "x2" / FILE_NAME)
    save(tmp_path / "a.png")
    made = []
    for path in (None, "x2", "x2"):
        trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
        model = SuperResolution(FDNN(2, channels=4))
        trainer.predict(model, input="a.png", overwrite=True, ckpt_path=path)
        made.append(read_image(tmp_path / "upscaled" / "a.png"))
    assert np.array_equal(made[1], made[2])
    assert not np.array_equal(made[0], made[1])


def test_existing_results(predict, tmp_path, capsys) -> None:
    for name in ("a.png", "b.png"):
        save(tmp_path / "in" / name)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"mine")
    command = [*predict, "--input", "in/*.png", "--output", "out"]
    assert main(command) == 0
    assert (tmp_path / "out" / "a.png").read_bytes() == b"mine"
    assert "1 results exist and are kept" in capsys.readouterr().out
    assert main(command) == 0
    assert "2 results exist" in capsys.readouterr().out
    assert main([*command, "--overwrite", "true"]) == 0
    assert read_image(tmp_path / "out" / "a.png").shape == (10, 12, 3)


def test_hostile_files_do_not_stop_the_others(predict, tmp_path, capsys, random) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    noise = Image.fromarray(random.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    for suffix in ("png", "jpg", "webp", "tif", "bmp", "gif"):
        file = folder / f"cut.{suffix}"
        noise.save(file)
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    (folder / "empty.png").touch()
    (folder / "empty.mp4").touch()
    (folder / "text.jpg").write_text("not an image")
    save(folder / "really.png", format="JPEG")  # read by its content
    save(folder / "bomb.png", size=(100, 101))
    Image.new("F", (4, 4)).save(folder / "float.tif")
    Image.new("I", (4, 4)).save(folder / "wide.tif")
    Image.new("RGBA", (4, 4)).save(folder / "alpha.png")
    save(folder / "zz fine ü.png")
    command = [*predict, "--input", "in", "--output", "out", "--max_pixels", "10000"]
    assert main(command) == 1
    error = last_line(capsys.readouterr().err)
    assert error.startswith("error: 12 of 15 failed: ")
    for name in ("cut.png", "cut.jpg", "cut.gif", "empty.png", "empty.mp4", "text.jpg"):
        assert f"in/{name}: " in error
    assert "bomb.png: 100x101 is more than 10,000 pixels" in error
    assert "--max_pixels 10100" in error
    assert "float.tif: pixel type 'F' is not supported" in error
    assert names(tmp_path / "out") == ["alpha.png", "really.png", "zz fine ü.png"]
    assert main([*predict, "--input", "in/bomb.png", "--output", "out"]) == 0
    assert "alpha.png" in names(tmp_path / "out")
    # What a format cannot hold is said before the work is done.
    assert main([*predict, "--input", "in/alpha.png", "--output", "o2", "--format", "jpg"]) == 1
    assert ".jpg cannot hold an alpha channel" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "nothing to do"),
        (["--input", "a.png", "--output", "file"], "--output file is a file"),
        (["--input", "a.png", "--output", "file/below"], "is a file, not a folder"),
        (["--input", "a.png", "--output", "/proc/none"], "/proc/none"),
        (["--input", "a.png", "--max_pixels", "0"], "--max_pixels must be at least 1, got 0"),
        (["--input", "a.png", "--max_pixels", "29"], "6x5 is more than 29 pixels"),
        (["--input", "none/*.png"], "none/*.png"),
    ],
)
def test_one_clear_line(predict, tmp_path, capsys, options, message) -> None:
    save(tmp_path / "a.png")
    (tmp_path / "file").touch()
    assert main([*predict, *options]) == 1
    text = capsys.readouterr().err
    assert "Traceback" not in text
    error = last_line(text)
    assert error.startswith("error: ")
    assert message in error


def test_full_disk_ends_it(predict, tmp_path, capsys, monkeypatch) -> None:
    for name in ("a.png", "b.png"):
        save(tmp_path / "in" / name)

    def full(*args, **kwargs) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    assert main([*predict, "--input", "in", "--output", "out"]) == 1
    error = last_line(capsys.readouterr().err)
    assert "No space left on device: " in error
    assert "a.png" in error
    assert names(tmp_path / "out") == []


def test_ctrl_c_leaves_no_half_image(predict, tmp_path) -> None:
    for i in range(200):
        save(tmp_path / "in" / f"{i:03}.png", size=(400, 400))
    with subprocess.Popen(
        [*TRAIN, *predict, "--input", "in", "--output", "out"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        # A test run in the background of a script ignores Ctrl-C, and would pass that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:  # fmt: skip
        until = time.monotonic() + 300
        while len(list((tmp_path / "out").glob("[0-9]*"))) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert process.returncode not in (0, None)
    assert "Traceback" not in errors
    written = names(tmp_path / "out")
    assert 2 <= len(written) < 200
    for name in written:
        assert read_image(tmp_path / "out" / name).shape == (800, 800, 3)


@pytest.mark.parametrize("images", [1, 5])
def test_two_processes_share_the_work_and_one_reports(predict, tmp_path, images) -> None:
    for i in range(images):
        save(tmp_path / "in" / f"{i}.png")
    if images > 1:
        (tmp_path / "in" / "3.png").write_bytes(b"junk")  # in the second process's share
        save(tmp_path / "out" / "0.png", size=(12, 10))
    done = subprocess.run(
        [*TRAIN, *predict, "--input", "in", "--output", "out",
         "--trainer.devices", "2", "--trainer.strategy", "ddp"],
        capture_output=True, text=True, cwd=tmp_path, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=500,
    )  # fmt: skip
    if images == 1:
        assert done.returncode == 0, done.stderr
        assert names(tmp_path / "out") == ["0.png"]
        return
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert names(tmp_path / "out") == ["0.png", "1.png", "2.png", "4.png"]
    assert done.stderr.count("1 of 4 failed: in/3.png: ") == 1
