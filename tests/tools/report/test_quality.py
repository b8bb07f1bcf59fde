import json
from pathlib import Path

import pytest
from PIL import Image

from tools.report.page import main
from tools.report.quality import points, quality_table
from tools.report.records import Run


def scored(label: str, model: str, psnr: float) -> Run:
    sets = {"Set14": {"psnr": psnr, "ssim": 0.8, "images": {}}}
    return Run(Path(label), {"model": model, "scale": 3, "sets": sets})


def timed(model: str) -> dict:
    return {
        "model": model,
        "scale": 3,
        "parameters": 1000,
        "multiply_adds": 2000.4,
        "seconds_per_megapixel": {"median": 0.5, "low": 0.25, "high": 1.0},
    }


@pytest.fixture
def speed() -> Run:
    systems = {"fdnn_x3": timed("FDNN"), "aplus_x3": timed("APlus")}
    how = {"hardware": "an abacus", "engine": "eager, fp32", "image": "camera", "repeats": 3}
    return Run(Path("zoo_speed"), speed={**how, "systems": systems | {"vdsr_x3": timed("VDSR")}})


TESTS = [
    scored("fdnn_x3", "FDNN", 29.7),
    scored("fdnn_x3_self_ensemble", "FDNN + self-ensemble", 29.9),
    scored("aplus_x3", "APlus", 29.1),
]


def test_quality_and_cost_are_of_the_same_system(speed) -> None:
    found = {point.name: point for point in points(TESTS, speed)}
    fdnn = found["FDNN"]
    assert (fdnn.psnr, fdnn.parameters, fdnn.seconds) == (29.7, 1000, 0.5)
    assert found["A+"].psnr == 29.1
    assert list(found) == ["A+", "FDNN"]  # by PSNR; VDSR was timed, not tested
    table = quality_table(list(found.values()))
    assert "| FDNN | 29.700 | 1,000 | 2,000 | 0.50 (0.25 to 1.00) |" in table


def test_page_has_the_picture(speed, tmp_path) -> None:
    pytest.importorskip("matplotlib")
    for run, name in ((speed, "speed"), (TESTS[0], "benchmark")):
        folder = tmp_path / run.folder
        folder.mkdir()
        content = run.speed or run.benchmark
        (folder / f"{name}.json").write_text(json.dumps(content))
    folders = [str(tmp_path / "zoo_speed"), str(tmp_path / "fdnn_x3")]
    page = tmp_path / "docs" / "results.md"
    assert main([*folders, "--output", str(page), "--no-pictures"]) == 0
    text = page.read_text()
    assert "an abacus" in text
    picture = page.with_name("results_quality.png")
    assert f"({picture.name})" in text
    assert picture.stat().st_size < 300_000
    with Image.open(picture) as image:
        assert image.width > 1000
