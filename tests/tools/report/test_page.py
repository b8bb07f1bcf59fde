import json
from pathlib import Path

import pytest
from PIL import Image

from fdnn.evaluation.published import TABLE_2, TABLE_3
from tools.report.page import main, shorten

ROOT = Path(__file__).parents[3]

METRICS = """epoch,step,train/loss,val/Set5/psnr,val/Set5/ssim
0,49,0.01,,
0,99,,30.5,0.86
1,199,,31.25,0.88
2,200,,31.5,0.89
"""


def scores(psnr: float, ssim: float, images: dict) -> dict:
    return {"psnr": psnr, "ssim": ssim, "images": images}


@pytest.fixture
def measured(tmp_path) -> Path:
    """A folder of a fit and a test whose scores are the paper's plus 0.1 dB."""
    folder = tmp_path / "mine"
    folder.mkdir()
    images = {t: {"psnr": m["FDNN"][0] + 0.1, "ssim": m["FDNN"][1]} for t, m in TABLE_2.items()}
    sets = {
        name: scores(by_scale[3][0] + 0.1, by_scale[3][1] - 0.001, images)
        for name, by_scale in TABLE_3["FDNN"].items()
    }
    benchmark = {"model": "FDNN", "scale": 3, "sets": sets}
    (folder / "benchmark.json").write_text(json.dumps(benchmark))
    record = {
        "steps": 2000,
        "hours": 0.5,
        "parameters": 234882,
        "command": "python src/train.py fit --config a.yaml",
    }
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "metrics.csv").write_text(METRICS)
    return folder


def rows(text: str, start: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith(start)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_report_puts_ours_beside_the_papers(measured, tmp_path, capsys) -> None:
    pytest.importorskip("matplotlib")
    page = tmp_path / "docs" / "results.md"
    assert main([str(measured), "--output", str(page), "--no-pictures"]) == 0
    text = page.read_text()
    in_table_3, to_the_best, in_table_2 = [
        row for row in rows(text, "| ") if "FDNN" in row and "mine" in row
    ]
    assert in_table_3[:5] == ["FDNN", "mine", "234,882", "2,000", "30.0"]
    assert in_table_3[6] == "29.900 (29.80, +0.10)<br>0.8310 (0.8320, -0.0010)"
    assert to_the_best == ["x3", "FDNN", "mine", *["+0.08 / -0.0022", "+0.10 / -0.0010"], *[
        "+0.02 / -0.0010"]]  # fmt: skip
    assert in_table_2[2] == "35.510 (35.41, +0.10)<br>0.9270 (0.9270, +0.0000)"
    assert "Set5 (validation)" in text
    assert rows(text, "| mine")[0][:4] == ["mine", "2,000", "30.0", "Set5 31.500"]
    # Nothing is said of what was not measured.
    assert "Table 1" not in text
    assert "Table 4" not in text
    curves = page.with_name("results_curves.png")
    assert f"({curves.name})" in text
    with Image.open(curves) as image:
        assert image.width > 400


def test_pictures_are_those_of_the_paper_and_small(data, tmp_path) -> None:
    folders = [str(ROOT / "checkpoints" / name) for name in ("fdnn_x3", "fdnn_x4")]
    page = tmp_path / "results.md"
    assert main([*folders, "--output", str(page), "--no-curves"]) == 0
    pictures = sorted(tmp_path.glob("*.png"))
    assert [p.name for p in pictures] == [
        "148026_x4.png", "baboon_x3.png", "baby_x3.png", "lenna_x4.png",
    ]  # fmt: skip
    for picture in pictures:
        assert picture.stat().st_size < 300_000
        assert f"({picture.name})" in page.read_text()
    assert set(TABLE_3["FDNN"]) == {"Set5", "Set14", "B100"}


def test_a_mistake_gives_one_line(tmp_path, capsys) -> None:
    assert main([str(tmp_path), "--output", str(tmp_path / "r.md")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert main([str(tmp_path), "--output", str(tmp_path)]) == 1
    assert "is a folder; name a file, such as results.md" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["benchmark.json", "run.json"])
def test_a_record_that_is_none_gives_one_line(measured, tmp_path, capsys, name) -> None:
    (measured / name).write_text("3")
    assert main([str(measured), "--output", str(tmp_path / "r.md")]) == 1
    assert f"{name} holds no JSON object" in capsys.readouterr().err


def test_command_stays_short(tmp_path) -> None:
    assert shorten([Path("fdnn_x3")]) == "fdnn_x3"
    for name in ("a/x", "a/y", "b/z", "b/not_given"):
        (tmp_path / name).mkdir(parents=True)
    given = [tmp_path / name for name in ("a/x", "a/y", "b/z")]
    assert shorten(given) == f"{tmp_path}/a/* {tmp_path}/b/z"


def tables(page: Path) -> list[str]:
    return [line for line in page.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]


def test_the_shipped_report_is_that_of_the_records(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    folders = [
        str(path.relative_to(ROOT))
        for pattern in ("checkpoints/*", "docs/runs/*")
        for path in sorted(ROOT.glob(pattern))
    ]
    page = tmp_path / "results.md"
    assert main([*folders, "--output", str(page), "--no-pictures", "--no-curves"]) == 0
    assert tables(page) == tables(ROOT / "docs" / "results.md")
