import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fdnn.cli.trainer import main
from fdnn.data.sets import find_set
from fdnn.evaluation.score import score
from fdnn.files.errors import UserError
from fdnn.inference.engines import _core, compiler_works, with_engine
from fdnn.inference.tiles import upscale_luma
from fdnn.models import FDNN, MSDEPC, Bicubic
from fdnn.models.ensemble import SelfEnsemble
from fdnn.models.weights import FILE_NAME, load, save_weights

CHECKPOINTS = Path(__file__).parents[2] / "checkpoints"


def engines() -> list[str]:
    names = ["eager"]
    if compiler_works(torch.device("cpu")):
        names.append("compile")
    try:
        import openvino  # noqa: F401

        names.append("openvino")
    except ImportError:
        pass
    return names


@pytest.mark.parametrize("engine", engines())
def test_fp32_engines_equal_the_network(engine: str) -> None:
    torch.manual_seed(0)
    net = FDNN(3, init="spread").eval()
    fast = with_engine(net, engine)
    for size in ((1, 1), (40, 33), (20, 70)):
        lr = torch.rand(1, 1, *size)
        with torch.inference_mode():
            expected = net(lr)
        assert torch.allclose(upscale_luma(fast, lr, tile=32), expected, atol=1e-5, rtol=0)


def test_what_runs_a_network_leaves_it_in_evaluation() -> None:
    """Batch normalisation would take, and keep, the statistics of the images that are scored."""
    net = MSDEPC(3, channels=4).eval()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    runner = SelfEnsemble(with_engine(net, "eager", "bf16"))
    with torch.inference_mode():
        runner(torch.rand(1, 1, 12, 12))
    assert not any(module.training for module in runner.modules())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize("engine", engines())
def test_bf16_is_something_else(engine: str) -> None:
    torch.manual_seed(0)
    net, lr = FDNN(3, init="spread").eval(), torch.rand(1, 1, 20, 30)
    with torch.inference_mode():
        expected = net(lr)
        found = with_engine(net, engine, "bf16")(lr)
    difference = (found - expected).abs().max()
    assert difference < 0.05
    told = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") if engine == "openvino" else ()
    if engine == "openvino" and "BF16" not in told:
        pytest.skip("OpenVINO computes in float32 on this processor: bfloat16 was not tried")
    assert difference > 1e-5


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("engine", engines())
def test_what_an_engine_costs_on_set5(data: Path, engine: str, precision: str) -> None:
    net = load(CHECKPOINTS / "fdnn_x3")
    images = find_set("Set5", data)
    expected = score(net, images)
    found = score(with_engine(net, engine, precision), images)
    allowed = 1e-4 if precision == "fp32" else 0.005
    assert found.psnr == pytest.approx(expected.psnr, abs=allowed)


def test_no_compiler(tiny, monkeypatch, caplog) -> None:
    """The record names what did run."""

    def broken(*args, **kwargs) -> None:
        raise RuntimeError("no C++ compiler\nmore lines")

    monkeypatch.setattr(torch, "compile", broken)
    save_weights(FDNN(2, channels=4), Path("x2") / FILE_NAME)
    assert main(["test", *tiny, "--ckpt_path", "x2", "--model.engine", "compile"]) == 0
    assert "does not work here, going on in eager mode (no C++ compiler)" in caplog.text
    scores = json.loads(Path("logs/tiny/version_0/benchmark.json").read_text())
    assert scores["engine"] == "eager, fp32"


def test_openvino_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UserError, match="pip install"):
        with_engine(FDNN(2), "openvino")


def test_openvino_runs_fdnn_only() -> None:
    pytest.importorskip("openvino")
    with pytest.raises(UserError, match="Bicubic"):
        with_engine(Bicubic(2), "openvino")


def test_openvino_does_not_run_every_form_of_fdnn() -> None:
    pytest.importorskip("openvino")
    with pytest.raises(UserError, match="openvino cannot run this network: "):
        with_engine(FDNN(3, upsample_at=3), "openvino")


def test_signals_after_openvino_is_gone() -> None:
    """On AMX, the end of the child killed the process: see ``fdnn.inference.engines._core``."""
    program = """
import gc, signal, subprocess
from fdnn.inference.engines import with_engine
from fdnn.models import FDNN
signal.signal(signal.SIGCHLD, lambda *_: None)
engines = [with_engine(FDNN(3, channels=4), "openvino", p) for p in ("fp32", "bf16")]
while engines:
    del engines[0]
    gc.collect()
for _ in range(20):
    subprocess.run(["true"], check=True)
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
