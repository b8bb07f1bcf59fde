import functools
import http.server
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fdnn.training.datamodule import SRDataModule
from fdnn.files.errors import ImageError, UserError
from fdnn.data.sets import find_set
from fdnn.data.shards import INDEX, Shards, find_images
from shard import main as shard


@pytest.fixture
def noisy(tmp_path, random) -> Path:
    """Images that fill shards of one megabyte, among them gray and 16-bit ones."""
    folder = tmp_path / "noisy"
    folder.mkdir()
    for i in range(4):
        pixels = random.integers(0, 256, (400 + i, 402, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"a.b{i}.png")
    Image.fromarray(pixels[..., 0]).save(folder / "gray.png")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(folder / "deep.png")
    return folder


@pytest.fixture
def shards(noisy, tmp_path) -> Path:
    folder = tmp_path / "bucket" / "shards"
    assert shard([str(noisy), "--output", str(folder), "--megabytes", "1"]) == 0
    return folder


@pytest.fixture
def s3(shards, monkeypatch):
    """A server that answers S3's GetObject, path style, for the folder of the shards."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args) -> None:
            pass

    serve = functools.partial(Handler, directory=shards.parents[1])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        yield "s3://bucket/shards"
        server.shutdown()


def batches(source: str, tmp_path: Path, **options) -> list[torch.Tensor]:
    options = {"patch_size": 24, "num_workers": 0, "steps_per_epoch": 3, **options}
    data = SRDataModule(3, [source], [], [], cache_dir=str(tmp_path / "cache"), **options)
    data.setup("fit")
    return [tensor for batch in data.train_dataloader() for tensor in batch]


@pytest.mark.parametrize("options", [{}, {"memory_mb": 0, "resized_copies": [0.7]}])
def test_batches_are_those_of_the_folder(noisy, shards, s3, tmp_path, options) -> None:
    expected = batches(str(noisy), tmp_path, **options)
    assert len(expected) == 9  # three batches of LR, HR and the pixels that count
    for source in (str(shards), s3):
        got = batches(source, tmp_path, **options)
        assert all(torch.equal(a, b) for a, b in zip(expected, got, strict=True))


def test_shards_hold_the_files_in_a_format_others_read(noisy, shards) -> None:
    files = sorted(shards.glob("*.tar"))
    assert len(files) > 1
    paths = find_set(str(noisy)).paths
    contents = []
    for file in files:
        with tarfile.open(file) as tar:
            contents += [tar.extractfile(member).read() for member in tar]
    assert contents == [path.read_bytes() for path in paths]
    found = find_images(str(shards))
    assert len(found) == 6
    assert found.sha256() == find_set(str(noisy)).sha256()


def test_the_same_images_make_the_same_shards(noisy, shards, tmp_path) -> None:
    assert shard([str(noisy), "--output", str(tmp_path / "again"), "--megabytes", "1"]) == 0
    assert (tmp_path / "again" / INDEX).read_bytes() == (shards / INDEX).read_bytes()


def test_damage_is_named(noisy, shards, s3, tmp_path, capsys) -> None:
    assert shard([str(noisy), "--output", str(shards)]) == 1
    assert "exists; choose another folder" in capsys.readouterr().err
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "000000.tar").write_bytes(b"mine")
    assert shard([str(noisy), "--output", str(tmp_path / "own")]) == 1
    assert "000000.tar exists; choose another folder" in capsys.readouterr().err
    file = shards / "000001.tar"
    file.write_bytes(file.read_bytes()[:-3000])
    with pytest.raises(UserError, match=r"000001\.tar: damaged \(\d+ bytes\)"):
        list(Shards(s3).members())
    file.unlink()
    for place in (s3, str(shards)):
        with pytest.raises(UserError, match=f"{place}/000001.tar cannot be read: "):
            list(Shards(place).members())
    (shards / INDEX).write_text("{")
    with pytest.raises(UserError, match=r"shards\.json: damaged"):
        Shards(str(shards))


def test_a_writer_that_was_stopped_can_begin_anew(noisy, tmp_path, monkeypatch) -> None:
    def stop(path: Path) -> int:
        raise KeyboardInterrupt

    command = [str(noisy), "--output", str(tmp_path / "new")]
    with monkeypatch.context() as patch:
        patch.setattr("fdnn.data.shards.count_pixels", stop)
        assert shard(command) == 130
    assert not list((tmp_path / "new").iterdir())
    assert shard(command) == 0


def test_unusable_images_are_named_or_skipped(noisy, tmp_path) -> None:
    (noisy / "broken.png").write_bytes(b"junk")
    Image.new("L", (9, 99)).save(noisy / "flat.png")
    assert shard([str(noisy), "--output", str(tmp_path / "shards")]) == 0
    with pytest.raises(ImageError, match=r"shards/000000\.tar/\d+_broken\.png: not an image"):
        batches(str(tmp_path / "shards"), tmp_path)
    data = SRDataModule(3, [str(tmp_path / "shards")], patch_size=24, on_error="skip")
    data.setup("fit")
    assert len(data.stores[0].pairs) == 6
    assert "flat.png: 9x99 is smaller than the patch" in data.skipped[1]


def test_nothing_else_needs_the_extra() -> None:
    code = "import sys, fdnn.cli.trainer; sys.exit(bool({'webdataset', 'obstore'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
