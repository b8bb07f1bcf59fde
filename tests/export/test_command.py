import ast
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from fdnn.data.sets import find_set
from fdnn.export import command as export
from fdnn.export.graphs import build
from fdnn.export.parity import Run, on_images, on_noise, reference, runner
from fdnn.files.digest import sha256
from fdnn.inference.engines import Engined
from fdnn.inference.tiles import upscale_luma, upscale_pixels
from fdnn.models import FDNN, Bicubic
from fdnn.models.weights import FILE_NAME, load, save_weights

CHECKPOINTS = Path(__file__).parents[2] / "checkpoints"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    save_weights(FDNN(3, channels=4, init="spread"), folder / FILE_NAME)
    return folder


@pytest.fixture(scope="module")
def luma_onnx(weights: Path) -> Path:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    file = weights / "made" / "luma.onnx"
    assert export.main([str(weights), "--output", str(file)]) == 0
    return file


@pytest.fixture(scope="module")
def rgb_onnx(weights: Path) -> Path:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    file = weights / "rgb.onnx"
    assert export.main([str(weights), "--output", str(file), "--graph", "rgb"]) == 0
    return file


@pytest.fixture(scope="module")
def rgb_pt2(weights: Path) -> Path:
    file = weights / "rgb.pt2"
    arguments = ["--output", str(file), "--graph", "rgb", "--format", "pt2"]
    assert export.main([str(weights), *arguments]) == 0
    return file


def failure(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run the command line, which must fail, and return its one line."""
    capsys.readouterr()
    assert export.main([str(a) for a in arguments]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize(("graph", "fixture"), [("luma", "luma_onnx"), ("rgb", "rgb_onnx"),
                                                ("rgb", "rgb_pt2")])  # fmt: skip
def test_files_equal_pytorch(weights, graph, fixture, request) -> None:
    net = load(weights)
    run = runner(request.getfixturevalue(fixture))
    assert max(row.largest for row in on_noise(net, run, graph)) < 1e-5
    lr = torch.rand(2, 1 if graph == "luma" else 3, 19, 1)
    assert run(lr).shape == (2, lr.shape[1], 57, 3)


def test_whole_pictures(weights, rgb_onnx, random) -> None:
    image = random.integers(0, 256, (13, 18, 3), dtype=np.uint8)
    lr = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    sr = runner(rgb_onnx)(lr)[0].permute(1, 2, 0).numpy()
    difference = np.floor(sr * 255 + 0.5) - upscale_pixels(load(weights), image)
    assert np.abs(difference).max() <= 1
    assert (difference != 0).mean() < 0.001


def test_metadata(weights, luma_onnx, rgb_onnx, rgb_pt2) -> None:
    import onnx

    net = load(weights)
    for graph, file in (("luma", luma_onnx), ("rgb", rgb_onnx)):
        about = {item.key: item.value for item in onnx.load(file).metadata_props}
        assert json.loads(about["network"]) == {"class": "FDNN", "arguments": net.arguments}
        assert about["weights_sha256"] == sha256(weights / FILE_NAME)
        assert (about["graph"], about["scale"], about["precision"]) == (graph, "3", "fp32")
        assert int(about["context"]) == net.context
    held = {export.PT2_METADATA: ""}
    torch.export.load(rgb_pt2, extra_files=held)
    assert json.loads(held[export.PT2_METADATA]) == about


def test_context_is_enough_overlap(luma_onnx) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(luma_onnx, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    assert int(about["context"]) < 12
    run = runner(luma_onnx)
    lr = torch.rand(1, 1, 40, 31)
    tiled = upscale_luma(Engined(FDNN(3, channels=4), run), lr, tile=16)
    torch.testing.assert_close(tiled, run(lr), atol=1e-5, rtol=0)


def test_onnx_is_plain(luma_onnx, rgb_onnx) -> None:
    import onnx

    for file in (luma_onnx, rgb_onnx):
        model = onnx.load(file)
        onnx.checker.check_model(model, full_check=True)
        assert {(o.domain, o.version) for o in model.opset_import} == {("", export.OPSET)}
        assert not {"Cast", "ConvTranspose", "Resize"} & {node.op_type for node in model.graph.node}
        sizes = [d.dim_param for d in model.graph.input[0].type.tensor_type.shape.dim]
        assert sizes == ["batch", "", "height", "width"]


def test_files_tell_nothing_of_this_machine(luma_onnx, rgb_pt2) -> None:
    for file in (luma_onnx, rgb_pt2):
        content = file.read_bytes()
        for path in (Path(__file__).parents[2], Path(torch.__file__).parent, Path.home()):
            assert str(path).encode() not in content


def test_prints_what_was_compared(weights, photos, tmp_path, capsys) -> None:
    output = tmp_path / "half.pt2"
    arguments = ["--precision", "fp16", "--check", photos]
    assert export.main([str(weights), "--output", str(output), *map(str, arguments)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "1x33x50" in captured.out
    assert "dB from PyTorch's" in captured.out
    assert "(luma, fp16, " in captured.out
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["half.pt2"]


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_shipped_weights_in_half_precision(scale, tmp_path) -> None:
    output = tmp_path / "half.pt2"
    weights = Path(__file__).parents[2] / "checkpoints" / f"fdnn_x{scale}"
    options = ["--precision", "fp16", "--check", "sample-test"]
    assert export.main([str(weights), "--output", str(output), *options]) == 0


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_wrong_file_never_appears(
    weights, photos, tmp_path, capsys, monkeypatch, precision
) -> None:
    output = tmp_path / "net.pt2"
    output.write_text("earlier")
    other = FDNN(3, channels=4)
    monkeypatch.setattr(export, "build", lambda net, graph, precision: build(other, graph))
    options = ["--precision", precision, "--check", str(photos)]
    line = failure(capsys, weights, "--output", output, *options)
    assert "differs from PyTorch by" in line
    assert f"allowed is {'0.0001' if precision == 'fp32' else '0.002'} for {precision}" in line
    assert output.read_text() == "earlier"
    assert [path for path in tmp_path.iterdir() if path.is_file()] == [output]


def test_what_cannot_be_computed_does_not_pass(weights, tmp_path, capsys, monkeypatch) -> None:
    def run(lr: torch.Tensor) -> torch.Tensor:
        return reference(load(weights), lr) * torch.nan

    def broken(file: Path) -> Run:
        return run

    monkeypatch.setattr(export.parity, "runner", broken)
    assert "by nan" in failure(capsys, weights, "--output", tmp_path / "net.pt2")
    assert list(tmp_path.iterdir()) == []


def test_failing_runtime(weights, tmp_path, capsys, monkeypatch) -> None:
    def broken(file: Path) -> Run:
        raise RuntimeError("unsupported opset\nmore lines")

    monkeypatch.setattr(export.parity, "runner", broken)
    line = failure(capsys, weights, "--output", tmp_path / "net.pt2")
    assert line.endswith("cannot be exported (unsupported opset)")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["net.pb", "net", "net.ONNX"])
def test_unknown_extension(weights, tmp_path, capsys, name) -> None:
    line = failure(capsys, weights, "--output", tmp_path / name)
    assert line.endswith(f"{name}: unknown extension; use .onnx or .pt2")


def test_format_and_extension_disagree(weights, tmp_path, capsys) -> None:
    line = failure(capsys, weights, "--output", tmp_path / "net.onnx", "--format", "pt2")
    assert line.endswith("let it end in .pt2")


def test_missing_weights(tmp_path, capsys) -> None:
    line = failure(capsys, tmp_path / "none", "--output", tmp_path / "net.pt2")
    assert "no weights at" in line
    assert str(tmp_path / "none") in line


def test_other_networks(tmp_path, capsys) -> None:
    save_weights(Bicubic(3), tmp_path / "bicubic" / FILE_NAME)
    assert "Bicubic" in failure(capsys, tmp_path / "bicubic", "--output", tmp_path / "net.pt2")
    save_weights(FDNN(3, channels=4, upsample_at=3), tmp_path / "early" / FILE_NAME)
    line = failure(capsys, tmp_path / "early", "--output", tmp_path / "net.pt2")
    assert "upsample_at=3" in line


def test_unwritable_folders(weights, tmp_path, capsys, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    assert "file" in failure(capsys, weights, "--output", tmp_path / "file" / "net.pt2")
    (tmp_path / "net.pt2").mkdir()
    assert "is a folder" in failure(capsys, weights, "--output", tmp_path / "net.pt2")

    def refused(dir: Path, **_: object) -> None:  # noqa: A002
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.setattr(tempfile, "mkstemp", refused)
    line = failure(capsys, weights, "--output", tmp_path / "other.pt2")
    assert line.startswith("error: Permission denied: ")
    assert str(tmp_path) in line


def test_missing_extra(weights, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    line = failure(capsys, weights, "--output", tmp_path / "net.onnx")
    assert line == "error: onnxscript not installed; pip install -e '.[export]'"


def test_images_to_check(weights, tmp_path, capsys) -> None:
    line = failure(capsys, weights, "--output", tmp_path / "net.pt2", "--check", tmp_path / "none")
    assert "neither a folder" in line
    line = failure(capsys, weights, "--output", tmp_path / "net.pt2", "--precision", "fp16")
    assert "--check sample-test" in line


def test_no_module_needs_the_extra_to_be_imported() -> None:
    for file in Path(export.__file__).parents[1].rglob("*.py"):
        for node in ast.parse(file.read_text()).body:
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not {name.split(".")[0] for name in names} & set(export.EXTRA), file


def test_shipped_weights_on_set5(data, tmp_path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    folder = CHECKPOINTS / "fdnn_x3"
    net = load(folder)
    assert isinstance(net, FDNN)
    export.write_onnx(net, tmp_path / "net.onnx", {}, "luma")
    rows = list(on_images(net, runner(tmp_path / "net.onnx"), "luma", find_set("Set5", data)))
    assert max(row.largest for row in rows) < 1e-5
    shipped = json.loads((folder / "benchmark.json").read_text())["sets"]["Set5"]["psnr"]
    assert np.mean([row.hr[1] for row in rows]) == pytest.approx(shipped, abs=0.002)
