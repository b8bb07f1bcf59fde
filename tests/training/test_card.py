import json
from pathlib import Path

import pytest
import torch

from fdnn.data.sets import find_set
from fdnn.evaluation.report import JSON_NAME, as_json, write
from fdnn.evaluation.score import score
from fdnn.files.digest import sha256
from fdnn.files.errors import UserError
from fdnn.models import FDNN, Bicubic
from fdnn.models.weights import FILE_NAME, load, save_weights
from fdnn.training.card import main, publish, text

ROOT = Path(__file__).parents[2] / "checkpoints"
CHECKPOINTS = sorted(file.parent for file in ROOT.rglob(FILE_NAME))


@pytest.fixture
def finished(photos, tmp_path, monkeypatch) -> tuple[Path, Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    for name in ("out", "fdnn_x3"):
        (tmp_path / "configs" / f"{name}.yaml").touch()
    run, test = tmp_path / "run", tmp_path / "test"
    net = FDNN(3, channels=4)
    save_weights(net, run / FILE_NAME)
    digest = sha256(run / FILE_NAME)
    record = {
        "parameters": 1234, "command": "python train", "git_commit": "abc", "seed": 0,
        "loss": "MSE + 0.1 KL",
        "steps": 10, "hours": 0.1, "hardware": "none", "precision": "32-true",
        "versions": {"torch": "2"}, "images": {"T91": 91, "Set5": 5},
        "data_sha256": {"T91": "f" * 64, "Set5": "e" * 64}, "averaged": True,
        "weights_sha256": digest, "left_out": ["/home/me/t20.bmp: 7x7: small"],
        "started_from": {"path": "/home/me/fdnn/a/last.ckpt", "sha256": "5" * 64},
        "teachers": [{"path": "b", "sha256": "7" * 64}],
        "resumed_from": "/home/me/logs/a/version_0/checkpoints/last.ckpt",
    }  # fmt: skip
    (run / "run.json").write_text(json.dumps(record))
    (run / "config.yaml").write_text("a: 1\n")
    log = "epoch,step,train/loss,val/Set5/psnr\n0,4,0.1,\n0,9,,30.5\n"
    (run / "metrics.csv").write_text(log)
    scores = score(net, find_set(str(photos)))
    weights = {"path": "x", "sha256": digest}
    write(test, as_json("FDNN", 3, {"Set5": scores}, weights, "eager, fp32"))
    return run, test


def test_publishes_what_is_needed(finished, tmp_path) -> None:
    (tmp_path / "d.md").write_text("* none\n")
    target = tmp_path / "fdnn_x3"
    arguments = [*map(str, finished), str(target), "--departures", str(tmp_path / "d.md")]
    assert main(arguments) == 0
    names = {FILE_NAME, "config.yaml", "run.json", "metrics.csv", JSON_NAME, "README.md"}
    assert {p.name for p in target.iterdir()} == names
    assert json.loads((target / "run.json").read_text())["left_out"] == ["t20.bmp: 7x7: small"]
    assert json.loads((target / "run.json").read_text())["started_from"]["path"] == "a/last.ckpt"
    assert "/home" not in (target / "run.json").read_text()
    # Of the log, the validations.
    assert (target / "metrics.csv").read_text() == "epoch,step,val/Set5/psnr\n0,9,30.5\n"
    card = (target / "README.md").read_text()
    for fact in (
        "33.68 / 0.9213",
        "abc",
        "python train",
        "| Loss | MSE + 0.1 KL |",
        "Set5 (validation)",
        "* none",
        "`" + "5" * 64,
        "| Teachers | `" + "7" * 64,
    ):
        assert fact in card
    assert isinstance(load(target), FDNN)


def test_a_set_that_was_trained_on_is_called_so(finished) -> None:
    run, test = finished
    record, benchmark = (json.loads(f.read_text()) for f in (run / "run.json", test / JSON_NAME))
    for trained, label in (("T91", "validation"), ("Set5", "trained on")):
        record["train_sets"] = [trained]
        assert f"| Set5 ({label}) |" in text("a", record, benchmark, "", "")


def test_what_a_resume_changed_is_on_the_card(finished) -> None:
    run, test = finished
    record, benchmark = (json.loads(f.read_text()) for f in (run / "run.json", test / JSON_NAME))
    record["changed"] = [{"step": 9000, "seed": [0, 7], "batch_size": [4, 3]}]
    line = "| Changed at step 9,000 | seed: 0, then 7; batch_size: 4, then 3 |"
    assert line in text("a", record, benchmark, "", "").splitlines()


@pytest.mark.parametrize(
    ("model", "printed"),
    [
        ("SRCNN", "| paper's SRCNN | paper's FDNN |"),
        ("FDNNDeep", "| SSIM | paper's FDNN |"),
        ("ESPCN", "| SSIM | paper's FDNN |"),  # no row in the paper
    ],
)
def test_the_paper_s_own_row_stands_beside_the_scores(finished, model, printed) -> None:
    run, test = finished
    record, benchmark = (json.loads(f.read_text()) for f in (run / "run.json", test / JSON_NAME))
    assert printed in text("a", record, benchmark | {"model": model}, "", "")


def test_scores_of_other_weights_are_refused(finished, tmp_path) -> None:
    run, test = finished
    save_weights(FDNN(3, channels=4), run / FILE_NAME)
    with pytest.raises(UserError, match="not those of"):
        publish(run, test, tmp_path / "out", "")
    images = find_set(str(run.parent / "photos"))
    write(test, as_json("Bicubic", 3, {"photos": score(Bicubic(3), images)}, None, "eager, fp32"))
    with pytest.raises(UserError, match="not those of"):
        publish(run, test, tmp_path / "out", "")
    (run / "run.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        publish(run, test, tmp_path / "out", "")


def test_files_that_exist_stay(finished, tmp_path, capsys) -> None:
    run, test = finished
    out = tmp_path / "out"
    out.mkdir()
    (out / "README.md").write_text("mine")
    command = [str(run), str(test), str(out), "--departures", str(out / "README.md")]
    assert main(command) == 1
    assert f"{out / 'README.md'} exists" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["README.md"]
    assert main([*command, "--overwrite"]) == 0
    assert "# out" in (out / "README.md").read_text()


def test_a_run_is_not_published_to_itself(finished, tmp_path, capsys) -> None:
    run, test = finished
    (tmp_path / "d.md").write_bytes(b"\xe9t\xe9")
    departures = ["--departures", str(tmp_path / "d.md")]
    assert main([str(run), str(test), str(tmp_path / "out"), *departures]) == 1
    assert "d.md: not UTF-8" in capsys.readouterr().err
    (tmp_path / "d.md").write_text("* none")
    assert main([str(run), str(test), str(run), *departures, "--overwrite"]) == 1
    assert f"{run} is the run itself; choose another folder" in capsys.readouterr().err


def test_the_command_prints_the_scores(finished, tmp_path) -> None:
    run, test = finished
    benchmark = json.loads((test / JSON_NAME).read_text())
    (test / JSON_NAME).write_text(json.dumps(benchmark | {"model": "FDNN + self-ensemble"}))
    publish(run, test, tmp_path / "out", "")
    assert (
        "configs/out.yaml --model.self_ensemble true`" in (tmp_path / "out/README.md").read_text()
    )
    (test / JSON_NAME).write_text(json.dumps(benchmark | {"engine": "compile, bf16"}))
    with pytest.raises(UserError, match=r"scores of compile, bf16; a card has those of eager"):
        publish(run, test, tmp_path / "other", "")


def test_a_config_that_is_not_there_is_not_named(finished, tmp_path) -> None:
    with pytest.raises(UserError, match=r"configs/other.yaml: no such config .*--config"):
        publish(*finished, tmp_path / "other", "")
    assert not (tmp_path / "other").exists()


def test_there_are_checkpoints() -> None:
    assert {"fdnn_x2", "fdnn_x3", "fdnn_x4"} <= {folder.name for folder in CHECKPOINTS}


@pytest.mark.parametrize("folder", CHECKPOINTS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_cards_are_of_the_weights_beside_them(folder) -> None:
    shipped = json.loads((folder / JSON_NAME).read_text())
    assert shipped["weights"]["sha256"] == sha256(folder / FILE_NAME)
    card = (folder / "README.md").read_text()
    for scores in shipped["sets"].values():
        assert f"{scores['psnr']:.3f} | {scores['ssim']:.4f}" in card


SHIPPED = [f for f in CHECKPOINTS if f.parent == ROOT]


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_shipped_scores_come_out_again(data, folder) -> None:
    wanted = json.loads((folder / JSON_NAME).read_text())["sets"]["Set5"]
    measured = score(load(folder), find_set("Set5", data))
    assert measured.psnr == pytest.approx(wanted["psnr"], abs=0.002)
    assert measured.ssim == pytest.approx(wanted["ssim"], abs=0.0001)


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_flat_images_stay_flat(folder) -> None:
    """Those of gray images may be blacker and whiter than any luma of a colour image."""
    net = load(folder)
    border = 12 * net.scale
    for level in range(0, 256, 15):
        with torch.inference_mode():
            sr = 255 * net(torch.full((1, 1, 36, 36), level / 255))
        assert (sr[..., border:-border, border:-border] - level).abs().max() < 5
