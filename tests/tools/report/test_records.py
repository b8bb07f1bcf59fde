import json

import pytest

from fdnn.files.errors import UserError
from tools.report.keep import main
from tools.report.records import Run, fit_of, read_run, validation_curve

METRICS = """epoch,step,train/loss,val/Set5/psnr,val/Set5/ssim
0,49,0.01,,
0,99,,30.5,0.86
1,199,,31.25,0.88
2,200,,31.5,0.89
"""
BENCHMARK = {
    "model": "FDNN",
    "scale": 3,
    "weights": {"path": "/home/me/model.safetensors", "sha256": "a"},
    "sets": {"Set5": {"psnr": 30.0, "ssim": 0.9, "images": {"baby": {"psnr": 31, "ssim": 0.8}}}},
}
RECORD = {
    "images": {"/home/me/photos": 6},
    "steps": 7,
    "weights_sha256": "a",
    "left_out": ["/home/me/t20.bmp: small"],
}


@pytest.fixture
def logs(tmp_path):
    """Folders of a fit and of a test of its weights."""
    fit, test = tmp_path / "fit", tmp_path / "test"
    fit.mkdir()
    test.mkdir()
    (fit / "run.json").write_text(json.dumps(RECORD))
    (fit / "metrics.csv").write_text(METRICS)
    (test / "benchmark.json").write_text(json.dumps(BENCHMARK))
    return fit, test


def test_curve_holds_the_validations(logs) -> None:
    curve = validation_curve(logs[0] / "metrics.csv")
    assert curve == [(99, {"Set5": 30.5}), (199, {"Set5": 31.25}), (200, {"Set5": 31.5})]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds neither"),
        ({"benchmark.json": "{"}, "cannot be read"),
        ({"run.json": "[1", "metrics.csv": METRICS}, "cannot be read"),
        ({"run.json": "{}", "metrics.csv": "val/Set5/psnr,step\n30.5\n"}, "cannot be read"),
        (
            {"benchmark.json": json.dumps(BENCHMARK), "run.json": '{"weights_sha256": "b"}'},
            "scores weights a, the fit of run.json made b",
        ),
    ],
)
def test_mistakes_are_named(files, message, tmp_path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        read_run(tmp_path)


def test_a_row_with_too_many_cells_is_read(tmp_path) -> None:
    (tmp_path / "metrics.csv").write_text("step,val/Set5/psnr\n7,30.5,1,2\n")
    assert validation_curve(tmp_path / "metrics.csv") == [(7, {"Set5": 30.5})]


def test_label_of_a_log_folder_is_its_config(tmp_path) -> None:
    assert Run(tmp_path / "fdnn_x3" / "version_7").label == "fdnn_x3"
    assert Run(tmp_path / "checkpoints" / "fdnn_x3").label == "fdnn_x3"


def test_scores(logs) -> None:
    run = read_run(logs[1])
    assert run.score("Set5") == (30.0, 0.9)
    assert run.image_score("Set5", "baby") == (31, 0.8)
    assert run.score("B100") is run.image_score("Set5", "bird") is None


def test_a_test_finds_its_fit_by_the_weights(logs) -> None:
    fit, test = map(read_run, logs)
    other = Run(logs[0], record={"weights_sha256": "b"})
    without = Run(logs[0], record={})
    assert fit_of(test, [other, without, test, fit])["steps"] == 7
    assert fit_of(test, [other, without, test]) == {}
    # A test without weights, bicubic's, has no fit, whatever records lack.
    bicubic = Run(logs[1], benchmark={**BENCHMARK, "weights": None})
    assert fit_of(bicubic, [without, fit]) == {}


def test_keeps_what_a_report_needs(logs, tmp_path, capsys) -> None:
    fit, test = map(str, logs)
    target = tmp_path / "docs" / "t4_fdnn_s0"
    assert main([str(target), "--fit", fit, "--test", test]) == 0
    assert {path.name for path in target.iterdir()} == {
        "run.json", "metrics.csv", "benchmark.json",
    }  # fmt: skip
    kept = read_run(target)
    assert kept.record == {
        **RECORD, "left_out": ["t20.bmp: small"], "images": {"photos": 6}
    }  # fmt: skip
    assert kept.benchmark == {
        **BENCHMARK, "weights": {"path": "model.safetensors", "sha256": "a"},
    }  # fmt: skip
    assert kept.curve == read_run(logs[0]).curve
    assert "train/loss" not in (target / "metrics.csv").read_text()


def test_other_weights_are_not_kept(logs, tmp_path, capsys) -> None:
    fit, test = logs
    (fit / "run.json").write_text(json.dumps({**RECORD, "weights_sha256": "b"}))
    target = tmp_path / "kept"
    assert main([str(target), "--fit", str(fit), "--test", str(test)]) == 1
    assert "not those of the weights of" in capsys.readouterr().err
    assert main([str(target), "--fit", str(test)]) == 1
    assert "not the folder of a finished fit" in capsys.readouterr().err
    assert main([str(target), "--test", str(fit)]) == 1
    assert "not the folder of a test" in capsys.readouterr().err
    assert not target.exists()


def test_records_of_several_runs_do_not_mix(logs, tmp_path, capsys) -> None:
    fit, test = logs
    target = tmp_path / "kept"
    command = [str(target), "--fit", str(fit), "--test", str(test)]
    assert main(command) == 0
    assert main(command) == 1
    assert "kept exists; choose another folder, or add --overwrite" in capsys.readouterr().err
    assert main([str(target), "--fit", str(fit), "--overwrite"]) == 0
    assert sorted(path.name for path in target.iterdir()) == ["metrics.csv", "run.json"]
    assert main([str(target), "--fit", str(target), "--overwrite"]) == 1
    assert "is what shall be kept" in capsys.readouterr().err
    # A run is no place for records of one.
    (fit / "model.safetensors").touch()
    assert main([str(fit), "--test", str(test), "--overwrite"]) == 1
    assert "holds model.safetensors; choose a folder for records" in capsys.readouterr().err
    assert (fit / "metrics.csv").read_text() == METRICS


def test_folders_of_one_name_keep_their_facts(logs, tmp_path) -> None:
    (logs[0] / "run.json").write_text(json.dumps(RECORD | {"images": {"/a/x/p": 1, "/a/y/p": 2}}))
    assert main([str(tmp_path / "kept"), "--fit", str(logs[0])]) == 0
    assert json.loads((tmp_path / "kept/run.json").read_text())["images"] == {"x/p": 1, "y/p": 2}
