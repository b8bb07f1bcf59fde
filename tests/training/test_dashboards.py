import json
import os
import struct
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import wandb
import yaml
from lightning.pytorch.loggers import WandbLogger

from fdnn.cli.trainer import main
from fdnn.data.sets import ImageSet
from fdnn.evaluation.metrics import SetScores
from fdnn.models import Bicubic
from fdnn.models.weights import FILE_NAME
from fdnn.training.dashboards import log_benchmark

ROOT = Path(__file__).parents[2]


def payloads(data: bytes):
    """Take a .wandb file apart: a LevelDB log, that is blocks of 32 KiB with record fragments."""
    header, block = 7, 32768
    assert data.startswith(b":W&B")
    position, whole = header, b""
    while position + header <= len(data):
        room = block - position % block
        if room < header:  # the padding at the end of a block
            position += room
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        whole += data[position + header : position + header + length]
        position += header + length
        if kind in (1, 4):  # complete, or the last fragment
            yield whole
            whole = b""


def records(root, count):
    """Everything that the offline runs below a folder hold, run by run, in order of time."""
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record

    runs = []
    for _ in range(100):  # wandb's own process may not have begun with the last one
        files = list(root.glob("wandb/offline-run-*/*.wandb"))
        if len(files) == count:
            break
        time.sleep(0.1)
    for file in sorted(files, key=lambda p: p.stat().st_mtime):
        for _ in range(100):  # wandb's own process may still be writing
            try:
                found = [Record.FromString(p) for p in payloads(file.read_bytes())]
            except DecodeError:
                found = []
            if found and found[-1].HasField("exit"):
                break
            time.sleep(0.1)
        runs.append((file.parent, found))
    return runs


def history(found):
    """Key -> values, over all steps."""
    values: dict[str, list] = {}
    for record in found:
        for item in record.history.item:
            key = item.key or "/".join(item.nested_key)
            values.setdefault(key, []).append(json.loads(item.value_json))
    return values


@pytest.fixture
def offline(tiny, tmp_path, monkeypatch):
    """A fit, its resumption, and a test, logged offline."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    for command, *options in (
        ("fit", "--trainer.max_epochs", "1"),
        ("fit", "--ckpt_path", "last"),
        ("test", "--ckpt_path", "logs/tiny/version_1", "--wandb.strips", "2"),
    ):
        assert main([command, *tiny, *options]) == 0
        wandb.finish()  # as the end of the process does
        time.sleep(1)  # a run's folder is named by its id, which a resumed one keeps, and second
    return records(tmp_path / "logs", 3)


def test_an_offline_run_holds_the_dashboard(offline, tmp_path) -> None:
    (_, first), (_, resumed), (folder, tested) = offline

    values = history(first)
    assert {"train/loss", "train/mse", "train/kl"} <= values.keys()
    assert {"val/photos/psnr", "val/photos/ssim", "speed/pairs_per_s"} <= values.keys()
    assert len(values["train/loss"]) == 3
    run = next(r.run for r in first if r.HasField("run"))
    record = json.loads((tmp_path / "logs/tiny/version_0/run.json").read_text())
    assert run.run_id == record["wandb_id"]
    assert run.job_type == "fit"

    # The resumed training goes on with the same run.
    assert next(r.run for r in resumed if r.HasField("run")).run_id == run.run_id
    artifact = [r.artifact for r in resumed if r.HasField("artifact")][-1]
    assert (artifact.name, artifact.type) == ("fdnn_x2", "model")
    names = {entry.path for entry in artifact.manifest.contents}
    assert {FILE_NAME, "README.md", "config.yaml", "run.json", "benchmark.json"} == names

    scores = json.loads((tmp_path / "logs/tiny/version_2/benchmark.json").read_text())
    means = history(tested)
    assert means["test/photos/psnr"] == pytest.approx([scores["sets"]["photos"]["psnr"]], rel=1e-5)
    table = json.loads(next(folder.glob("files/media/table/*.json")).read_text())
    assert table["columns"] == ["set", "image", "psnr", "ssim", "paper_psnr", "picture"]
    by_image = {row[1]: (row[2], row[3]) for row in table["data"]}
    each = scores["sets"]["photos"]["images"]
    assert by_image == {name: (s["psnr"], s["ssim"]) for name, s in each.items()}
    assert [row[5] is not None for row in table["data"]] == [True, True, *[False] * 4]


@pytest.mark.parametrize(("title", "printed"), [("FDNN + self-ensemble", 29.87), ("APlus", 27.35)])
def test_the_table_has_the_papers_score(title, printed, tmp_path) -> None:
    images = ImageSet("Set5", (tmp_path / "img_003_SRF_2_HR.png",))
    scores = SetScores(images, 30.0, 0.9, [(30.0, 0.9)])
    logged = {}
    logger = SimpleNamespace(experiment=SimpleNamespace(log=logged.update))
    log_benchmark(logger, {"Set5": scores}, Bicubic(3), title, strips=0)
    assert logged["benchmark"].data == [["Set5", "butterfly", 30.0, 0.9, printed, None]]


def test_sweep_config_names_options_that_exist(tmp_path, monkeypatch, capsys) -> None:
    sweep = yaml.safe_load((ROOT / "configs/sweep_x3.yaml").read_text())
    options = [f"--{k}={p['values'][0] if 'values' in p else p['min']}"
               for k, p in sweep["parameters"].items()]  # fmt: skip
    monkeypatch.chdir(ROOT)
    config = sweep["command"][sweep["command"].index("fit") + 1]
    with pytest.raises(SystemExit) as stopped:
        main(["fit", config, *options, "--print_config"])
    assert stopped.value.code == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["model"]["optimizer"]["init_args"]["lr"] == 0.0005
    assert shown["model"]["loss"]["init_args"]["kl_weight"] == 0.0
    assert shown["data"]["batch_size"] == 4


def test_no_account_is_one_line(tiny, tmp_path) -> None:
    # In a process of its own: wandb reads its environment once.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    environment |= {"HOME": str(tmp_path), "NETRC": str(tmp_path / "none")}
    command = [sys.executable, str(ROOT / "src/train.py"), "fit", *tiny, "--wandb.mode", "online"]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "error: W&B: No API key configured" in done.stderr
    assert "--wandb.mode offline" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_out_of_reach_is_one_line(tiny, tmp_path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    # Nothing listens on port 9 of this machine. W&B gives up after 90 seconds if not told sooner.
    environment |= {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "x" * 40}
    environment |= {"WANDB_INIT_TIMEOUT": "3", "HOME": str(tmp_path)}
    command = [sys.executable, str(ROOT / "src/train.py"), "fit", *tiny, "--wandb.mode", "online"]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: W&B: ")
    assert "--wandb.mode offline" in line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left on device"), UnicodeEncodeError("utf-8", "\udce9", 0, 1, "no")],
)
def test_a_picture_that_cannot_be_sent_ends_no_training(tiny, monkeypatch, caplog, error) -> None:
    def fail(*args) -> None:
        raise error

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(WandbLogger, "log_image", fail)
    assert main(["fit", *tiny, "--wandb.mode", "offline"]) == 0
    assert "no picture of" in caplog.text
