import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import wandb
import yaml
from PIL import Image, ImageCms

from fdnn import models
from fdnn.cli.main import fdnn, main
from fdnn.cli.trainer import CLI
from fdnn.data.sets import find_set
from fdnn.evaluation.score import score
from fdnn.files.errors import UserError
from fdnn.images.io import read_image
from fdnn.inference.tiles import upscale_pixels
from fdnn.models import FDNN
from fdnn.models.ensemble import SelfEnsemble
from fdnn.models.weights import FILE_NAME, load, save_weights
from fdnn.training import card

ROOT = Path(__file__).parents[2]
X2 = ["--ckpt_path", "x2"]
CALLBACK = ["--trainer.callbacks+"]
KL = "--model.loss.init_args.kl_weigth"
MONITOR = "--trainer.callbacks.monitor"
IN_THREE = ["--trainer.accumulate_grad_batches", "3"]
VDSR = ["--model.net", "VDSR", "--model.net.channels", "4"]
IN_PARTS = ["--trainer.callbacks.scheduling", "{0: 2}"]
ENDLESS = ["--trainer.max_epochs", "-1", "--trainer.max_time", "00:00:01:00"]
CONFIGS = sorted(p for p in (ROOT / "configs").glob("*.yaml") if not p.stem.startswith("sweep"))


def run(tmp_path: Path, number: int) -> Path:
    return tmp_path / "logs" / "tiny" / f"version_{number}"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("aplus_x3", "its weights are made by 'python data_prep/fit_aplus.py'"),
        ("bicubic_x3", "Bicubic has nothing for 'fit' to train"),
    ],
)
def test_fit_refuses_what_gradients_cannot_train(config, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", "--config", str(ROOT / "configs" / f"{config}.yaml")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.rglob("run.json"))


@pytest.mark.parametrize(
    "option", [["--data.test_sets", "[]"], ["--trainer.limit_test_batches", "0"]]
)
def test_nothing_scored_is_no_success(tiny, option, capsys) -> None:
    assert main(["fit", *tiny]) == 0
    assert main(["test", *tiny, *option, "--ckpt_path", "logs/tiny/version_0"]) == 1
    assert "error: no image was scored" in capsys.readouterr().err


def test_runs_keep_to_a_folder_of_their_own(tiny, tmp_path, monkeypatch) -> None:
    assert main(["fit", *tiny, "--trainer.logger", "false"]) == 0
    folder = tmp_path / "logs/tiny/version_0"
    weights = (folder / FILE_NAME).read_bytes()
    before = sorted(tmp_path.rglob("*"))
    try_out = [*tiny, "--trainer.fast_dev_run", "true"]
    assert main(["fit", *try_out]) == 0
    assert main(["test", *try_out, "--ckpt_path", str(folder)]) == 0
    assert sorted(tmp_path.rglob("*")) == before
    logger = "{class_path: WandbLogger, init_args: {offline: true, save_dir: logs}}"
    monkeypatch.setenv("WANDB_MODE", "offline")  # Lightning changes it; this brings it back
    assert main(["fit", *tiny, "--trainer.logger", logger]) == 0
    wandb.finish()  # or the next run in this process would go on with it
    assert (tmp_path / "logs/tiny/version_1" / FILE_NAME).is_file()
    assert (folder / FILE_NAME).read_bytes() == weights


def test_a_picture_that_cannot_be_written_ends_no_training(tiny, photos, tmp_path, caplog) -> None:
    (photos / "photo0.png").rename(photos / f"{'n' * 248}.png")
    assert main(["fit", *tiny]) == 0
    assert (run(tmp_path, 0) / FILE_NAME).is_file()
    assert "no picture of" in caplog.text


def test_training_on_a_part_of_a_published_set_says_so(
    tiny, photos, tmp_path, monkeypatch, caplog
) -> None:
    photos.rename(tmp_path / "T91")
    monkeypatch.setenv("FDNN_DATA", str(tmp_path))
    sets = ["--data.train_sets", "[T91]", "--data.val_sets", "[T91]"]
    assert main(["fit", *tiny, *sets, "--trainer.max_epochs", "1"]) == 0
    assert caplog.text.count("T91 has 6 of its 91 images; 'python data_prep/fetch.py T91'") == 1


def test_fit_leaves_weights_record_logs_and_pictures(tiny, tmp_path, capsys) -> None:
    assert main(["fit", *tiny]) == 0
    folder = run(tmp_path, 0)
    record = json.loads((folder / "run.json").read_text())
    assert record["steps"] == 6
    assert record["loss"] == "MSE + KL"
    assert record["images"] == {str(tmp_path / "photos"): 6}
    assert record["averaged"]
    card = (folder / "README.md").read_text()
    assert "photos (trained on)" in card
    assert "the averaged ones" in card
    (command,) = re.findall("`(python src/train.py validate .*)`", card)
    assert (folder / "config.yaml").is_file()
    assert len(list((folder / "pictures").glob("photos_*.png"))) == 5
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    logged = {key for row in rows for key, value in row.items() if value}
    assert {
        "train/loss", "train/mse", "train/kl", "speed/pairs_per_s", "val/photos/psnr",
        "val/photos/ssim",
    } <= logged  # fmt: skip
    assert isinstance(load(folder / FILE_NAME), FDNN)
    out = capsys.readouterr().out
    assert "FDNN, measured" in out
    assert "Bicubic, measured" in out
    # What the card says can be done, and gives its scores.
    kept = json.loads((folder / "benchmark.json").read_text())["sets"]["photos"]
    capsys.readouterr()
    assert main(command.split()[2:]) == 0
    assert f"{kept['psnr']:.3f}" in capsys.readouterr().out
    assert f"{kept['psnr']:.3f} | {kept['ssim']:.4f}" in card


def test_the_commands_that_fit_prints_work(tiny, photos, tmp_path, capsys) -> None:
    assert main(["fit", *tiny]) == 0
    printed = capsys.readouterr().out
    test = re.search(r"^test these weights: python src/train\.py (.*)$", printed, re.MULTILINE)
    upscale = re.search(r"^upscale with them: fdnn photo\.jpg (.*)$", printed, re.MULTILINE)
    assert test
    assert upscale
    assert main(shlex.split(test[1])) == 0
    assert fdnn([str(photos / "photo0.png"), *shlex.split(upscale[1])]) == 0
    assert (photos / "photo0_x2.png").is_file()


def test_the_config_that_a_run_leaves_can_be_used(tiny, tmp_path, recwarn) -> None:
    assert main(["fit", *tiny]) == 0
    saved = run(tmp_path, 0) / "config.yaml"
    assert "Unable to serialize" not in saved.read_text()
    assert not [w for w in recwarn if "serialize" in str(w.message)]
    options = ["--config", str(saved), "--trainer.max_epochs", "1"]
    assert main(["test", *options, "--ckpt_path", str(run(tmp_path, 0))]) == 0
    assert main(["fit", *options]) == 0
    # It goes on under the name of the run.
    again = run(tmp_path, 2) / "config.yaml"
    assert again.read_text() == saved.read_text().replace("max_epochs: 2", "max_epochs: 1")


@pytest.mark.parametrize(
    ("name", "arguments", "writer"),
    [
        ("AsyncCheckpointIO", {}, "AsyncCheckpointIO"),
        ("MixedPrecision", {"precision": "bf16-mixed", "device": "cpu"}, "SafeCheckpoints"),
    ],
)
def test_plugins_of_the_config_are_kept(
    tiny, tmp_path, monkeypatch, name, arguments, writer
) -> None:
    used = []

    def look(cli):
        strategy = cli.trainer.strategy
        used.append([type(p).__name__ for p in (strategy.checkpoint_io, strategy.precision_plugin)])
        raise UserError("enough")

    monkeypatch.setattr(CLI, "before_fit", look)
    plugin = {"class_path": f"lightning.pytorch.plugins.{name}", "init_args": arguments}
    for plugins in (plugin, [plugin]):
        (tmp_path / "more.yaml").write_text(yaml.safe_dump({"trainer": {"plugins": plugins}}))
        assert main(["fit", *tiny, "--config", "more.yaml"]) == 1
    assert len(used) == 2
    assert all(kinds[0] == writer and name in kinds for kinds in used)


@pytest.mark.parametrize("half", [torch.bfloat16, None])
def test_precision_is_that_of_the_hardware_unless_named(tiny, monkeypatch, capsys, half) -> None:
    monkeypatch.setattr("fdnn.inference.hardware.half_precision", lambda _: half)
    chosen = "32-true" if half is None else "bf16-mixed"
    assert main(["fit", *tiny]) == 0
    assert main(["fit", *tiny, "--trainer.precision", "32-true"]) == 0
    records = [json.loads(Path(f"logs/tiny/version_{i}/run.json").read_text()) for i in (0, 1)]
    assert [record["precision"] for record in records] == [chosen, "32-true"]
    assert f"training with precision {chosen} (" in capsys.readouterr().out


def test_final_weights_are_the_averaged_ones(tiny, tmp_path) -> None:
    assert main(["fit", *tiny]) == 0
    folder = run(tmp_path, 0)
    averaged = load(folder / FILE_NAME).state_dict()
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    current = checkpoint["current_model_state"]
    for key, value in averaged.items():
        assert torch.equal(value, checkpoint["state_dict"][f"net.{key}"])
    assert any(not torch.equal(v, current[f"net.{k}"]) for k, v in averaged.items())


def test_identical_images_have_a_card(tiny, tmp_path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    Image.new("L", (64, 64), 0).save(flat / "black.png")
    Image.new("L", (64, 64), 0).save(flat / "night.png")
    bicubic = ["--model.net", "fdnn.models.Bicubic"]
    assert main(["test", *tiny, *bicubic, "--data.test_sets", "[flat]"]) == 0
    scores = json.loads((run(tmp_path, 0) / "benchmark.json").read_text())
    assert scores["sets"]["flat"]["psnr"] is None
    record = {"data_sha256": {}, "parameters": 0, "command": "", "git_commit": "", "seed": 0}
    record |= {"steps": 0, "hours": 0, "hardware": "", "precision": "", "weights_sha256": ""}
    record |= {"versions": {"torch": ""}}
    assert "| flat | 2 | inf | 1.0000 |" in card.text("flat", record, scores, "", "")


def test_one_network_for_several_scales(tiny, tmp_path) -> None:
    net = ["--model.net", "VDSR", "--model.net.layers", "3", "--model.net.channels", "4"]
    assert main(["fit", *tiny, *net, "--data.train_scales", "[2, 4]"]) == 0
    assert isinstance(load(run(tmp_path, 0) / FILE_NAME, 4), models.VDSR)


def test_test_writes_scores_with_their_origin(tiny, tmp_path, capsys) -> None:
    save_weights(FDNN(2, channels=4), tmp_path / "weights" / FILE_NAME)
    assert main(["test", *tiny, "--ckpt_path", "weights", "--per_image", "true"]) == 0
    out = capsys.readouterr().out
    assert "photo3" in out
    path = run(tmp_path, 0) / "benchmark.json"
    assert "benchmark.json" in out
    scores = json.loads(path.read_text())
    assert scores["model"] == "FDNN"
    assert scores["weights"]["path"] == str(Path("weights") / FILE_NAME)
    assert len(scores["weights"]["sha256"]) == 64
    assert list(scores["sets"]["photos"]["images"]) == [f"photo{i}" for i in range(6)]
    each = [image["psnr"] for image in scores["sets"]["photos"]["images"].values()]
    assert scores["sets"]["photos"]["psnr"] == pytest.approx(np.mean(each))
    rows = list(csv.reader(path.with_name("benchmark.csv").open()))
    assert len(rows) == 1 + 6 + 1


def test_part_of_a_set_can_be_scored(tiny, tmp_path) -> None:
    assert main(["fit", *tiny, "--trainer.limit_val_batches", "2"]) == 0
    assert "| photos, 2 of 6 (trained on) | 2 |" in (run(tmp_path, 0) / "README.md").read_text()
    weights = ["--ckpt_path", str(run(tmp_path, 0))]
    assert main(["test", *tiny, *weights, "--trainer.limit_test_batches", "3"]) == 0
    sets = json.loads((run(tmp_path, 1) / "benchmark.json").read_text())["sets"]
    assert list(sets["photos, 3 of 6"]["images"]) == ["photo0", "photo1", "photo2"]
    # What is logged is named as ever.
    assert "val/photos/psnr" in (run(tmp_path, 0) / "metrics.csv").read_text()


def test_the_engine_is_a_switch_and_says_so(tiny, tmp_path) -> None:
    save_weights(FDNN(2, channels=4, init="spread"), tmp_path / "x2" / FILE_NAME)
    assert main(["test", *tiny, *X2]) == 0
    assert main(["test", *tiny, *X2, "--model.engine_precision", "bf16"]) == 0
    one, other = (json.loads((run(tmp_path, i) / "benchmark.json").read_text()) for i in (0, 1))
    assert (one["engine"], other["engine"]) == ("eager, fp32", "eager, bf16")
    assert one["sets"]["photos"]["psnr"] != other["sets"]["photos"]["psnr"]


def test_self_ensemble_is_a_switch_and_says_so(tiny, tmp_path, capsys) -> None:
    save_weights(FDNN(2, channels=4, init="spread"), tmp_path / "x2" / FILE_NAME)
    assert main(["test", *tiny, *X2]) == 0
    assert main(["test", *tiny, *X2, "--model.self_ensemble", "true"]) == 0
    one, eight = (json.loads((run(tmp_path, i) / "benchmark.json").read_text()) for i in (0, 1))
    assert (one["model"], eight["model"]) == ("FDNN", "FDNN + self-ensemble")
    assert "self-ensemble" in capsys.readouterr().out
    assert one["sets"]["photos"]["psnr"] != eight["sets"]["photos"]["psnr"]
    net = SelfEnsemble(load(tmp_path / "x2"))
    expected = score(net, find_set(str(tmp_path / "photos")))
    assert eight["sets"]["photos"]["psnr"] == pytest.approx(expected.psnr, abs=1e-6)


def test_lightning_checkpoints_can_be_tested(tiny, tmp_path) -> None:
    assert main(["fit", *tiny]) == 0
    folder = run(tmp_path, 0)
    for path in (folder, folder / "checkpoints" / "last.ckpt"):
        assert main(["test", *tiny, "--ckpt_path", str(path)]) == 0
    first, second = (
        json.loads((run(tmp_path, i) / "benchmark.json").read_text())["sets"] for i in (1, 2)
    )
    assert first == second


def test_predict(tiny, tmp_path, photos, capsys) -> None:
    save_weights(FDNN(2, channels=4, init="spread"), tmp_path / "weights" / FILE_NAME)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with Image.open(photos / "photo1.png") as image:
        image.save(photos / "photo1.png", icc_profile=profile, dpi=(300, 300))
    command = ["predict", *tiny, "--ckpt_path", "weights", "--input", str(photos)]
    assert main([*command, "--output", "out"]) == 0
    assert len(list((tmp_path / "out").iterdir())) == 6
    assert not (tmp_path / "logs").exists()
    source, result = (read_image(f / "photo1.png") for f in (photos, tmp_path / "out"))
    expected = upscale_pixels(load("weights"), source)
    assert np.abs(result.astype(int) - expected).max() <= 1
    with Image.open(tmp_path / "out" / "photo1.png") as image:
        assert image.info["icc_profile"] == profile
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    # Existing results are kept, a broken image does not stop the others.
    Image.fromarray(source[:7, :9]).save(photos / "new.png")
    (photos / "broken.png").write_bytes(b"junk")
    before = (tmp_path / "out" / "photo1.png").stat().st_mtime_ns
    assert main([*command, "--output", "out"]) == 1
    captured = capsys.readouterr()
    assert "broken.png" in captured.err
    assert "1 of 2 failed" in captured.err
    assert (tmp_path / "out" / "new.png").is_file()
    assert (tmp_path / "out" / "photo1.png").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("fit", ["--trainer.max_epoks", "3"], "max_epoks"),
        ("fit", ["--data.train_sets", "[Set55]"], "Set55"),
        ("fit", ["--model.net.init_args.upsample_at", "1"], "upsample_at=1"),
        ("fit", ["--data.batch_size", "many"], "batch_size"),
        ("fit", ["--trainer.max_epochs", "1.5"], "max_epochs\": expected int or null, got 1.5 ("),
        ("fit", ["--seed_everything", "null"], "seed_everything\": expected bool or int, got None"),
        ("fit", ["--model.loss", "MSEKLLoss", "--model.loss.kl_weight", "-1"], "error: kl_weight"),
        ("fit", ["--seed_everything", "-1"], "seed_everything must be a number from 0"),
        ("fit", ["--seed_everything", "true"], "seed_everything must be a number from 0"),
        ("fit", ["--data.num_workers", "-1"], "num_workers must be at least 0"),
        ("fit", ["--model.warmup_steps", "-1"], "warmup_steps=-1 must be at least 0"),
        ("fit", ["--model.net.init_args.channels", "-1"], "at least 1, got 1 and -1"),
        ("fit", ["--model.net.init_args.channels", "0"], "at least 1, got 1 and 0"),
        ("fit", [*CALLBACK, "LearningRateFinder"], "LearningRateFinder does not work here: "),
        ("fit", [*IN_THREE], "batch_size=4 cannot be shared by 1 processes with 3"),
        ("fit", [*VDSR, "--model.engine", "openvino"], "openvino"),
        ("fit", ["--trainer.gradient_clip_val", "-1"], "gradient_clip_val=-1.0 does not work here"),
        ("fit", ["--trainer.max_epoch", "3"], "did you mean --trainer.max_epochs?"),
        ("fit", ["--trainer.default_root_dir", "s3://a/b"], "runs are kept in local folders only"),
        ("fit", ["--data.val_sets", "[other/photos]"], "would both be called photos on the card"),
        ("fit", ["--model.loss", "MSEKLLoss", KL, "1"], "Option 'kl_weigth' is not accepted (-"),
        ("fit", ["--ckpt_path", "x2"], "no checkpoint at x2; --model.start takes weights"),
        ("fit", [*CALLBACK, "BackboneFinetuning"], "BackboneFinetuning does not work here: "),
        ("validate", [*X2, "--data.val_sets", "[]"], "no image was scored; see data.val_sets"),
        ("test", ["--ckpt_path", ""], "--ckpt_path is empty"),
        ("fit", ["--model.net", "DRCN", "--model.net.recursions", "0"], "at least 1, got 0"),
        ("fit", ["--model.net", "SRCNN", "--model.net.kernels", "[8,5,5]"], "positive, got 8"),
        ("fit", ["--data.margin", "4"], "margin=4 leaves nothing of patches of 8x8"),
        ("fit", ["--ckpt_path", "last"], "nothing to resume"),
        ("fit", ["--ckpt_path", "none.ckpt"], "none.ckpt"),
        ("fit", ["--ckpt_path", "junk.ckpt"], "junk.ckpt: damaged"),
        ("fit", ["--ckpt_path", f"x2/{FILE_NAME}"], "fit goes on from a .ckpt"),
        ("fit", [*CALLBACK, "EarlyStopping", MONITOR, "val/none"], "val/none"),
        ("fit", [*CALLBACK, "ModelCheckpoint", MONITOR, "val/none"], "val/none"),
        ("fit", [*CALLBACK, "Throughput", "--trainer.callbacks.every", "0"], "at least 1, got 0"),
        ("fit", [*ENDLESS, "--model.schedule", "cosine"], "schedule=cosine needs an end"),
        ("fit", [*CALLBACK, "GradientAccumulationScheduler", *IN_PARTS], "accumulate_grad_batches"),
        ("fit", ["--model.loss", "fdnn.training.losses.NoLoss"], "NoLoss"),
        ("fit", ["--trainer.val_check_interval", "100"], "less than or equal to the number"),
        ("fit", ["--data.val_sets", "[bad]"], "bad/empty.png"),
        ("test", [], "no weights given"),
        ("test", ["--ckpt_path", "junk.ckpt"], "junk.ckpt: damaged"),
        ("test", ["--ckpt_path", "nowhere"], "no weights at nowhere"),
        ("test", ["--ckpt_path", "x3"], "scale=3"),
        ("predict", X2, "--input"),
        ("predict", [*X2, "--input", "gone.png"], "gone.png"),
        ("predict", [*X2, "--input", "photos", "--output", "photos"], "overwritten"),
        ("predict", [*X2, "--input", "photos", "--format", "xyz"], "xyz"),
    ],
)  # fmt: skip
def test_mistakes_give_one_line(tiny, tmp_path, capsys, command, options, message) -> None:
    (tmp_path / "junk.ckpt").write_bytes(b"junk")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "empty.png").touch()
    shutil.copytree(tmp_path / "photos", tmp_path / "other" / "photos")
    for scale in (2, 3):
        save_weights(FDNN(scale, channels=4), tmp_path / f"x{scale}" / FILE_NAME)
    status = main([command, *tiny, *options])
    text = capsys.readouterr().err
    assert status == 1
    assert "Traceback" not in text
    error = text.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error


def test_training_that_is_over_says_so(tiny, capsys, caplog) -> None:
    """Also one without images to validate with, whose card has no scores."""
    options = ["--data.val_sets", "[]", "--trainer.max_epochs", "1"]
    assert main(["fit", *tiny, *options]) == 0
    assert "no step was trained" not in caplog.text
    folder = run(Path(), 0)
    assert "Not scored" in (folder / "README.md").read_text()
    last = str(folder / "checkpoints" / "last.ckpt")
    assert main(["fit", *tiny, *options, "--ckpt_path", last]) == 0
    assert "no step was trained; max_epochs" in caplog.text


def test_help_names_all_commands(capsys) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f" {name}" in out for name in ("fit", "test", "predict", "evaluate", "export"))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["fitt"],
            "no command 'fitt' in first place; there are fit, validate, test",
        ),
        (["fit", "--config", "gone.yaml"], "no config at gone.yaml"),
        (["test", "--config=gone.yaml"], "no config at gone.yaml"),
    ],
)
def test_common_mistakes_are_found_before_lightning_is_loaded(args, message) -> None:
    code = (
        f"import sys; from fdnn.cli.main import main; status = main({args!r});"
        "print('lightning' in sys.modules); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "False\n")
    assert done.stderr.startswith(f"error: {message}")


def test_a_config_can_be_written_on_the_command_line(tiny, tmp_path) -> None:
    save_weights(FDNN(2, channels=4), tmp_path / "x2" / FILE_NAME)
    assert main(["test", *tiny, *X2, "--config", "{data: {patch_size: 8}}"]) == 0
    assert "patch_size: 8" in (run(tmp_path, 0) / "config.yaml").read_text()


def test_no_config_is_one_line(capsys) -> None:
    assert main(["fit"]) == 1
    assert capsys.readouterr().err.startswith("error: no data.scale; name a config that has one")


def test_no_traceback_in_a_real_process(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "src" / "train.py"), "test", "--config", "gone.yaml"],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "CI": ""}, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "gone.yaml" in done.stderr


def test_the_command_needs_the_package_alone(tmp_path) -> None:
    """Neither the folder of the repository nor its tools, which are not installed."""
    done = subprocess.run(
        [sys.executable, ROOT / "src/train.py", "fit", "--config", "missing.yaml"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
