"""The README's table of results says what the records say."""

import json
import re
from pathlib import Path

import pytest

from fdnn.evaluation.published import TABLE_3, best
from fdnn.files.digest import sha256
from fdnn.models.weights import FILE_NAME

ROOT = Path(__file__).parents[1]
SETS = ("Set5", "Set14", "B100")
ROWS = re.findall(
    r"^\| (?:\*\*)?([\w ]+) x([234]), "
    r"(these weights|self-ensemble|the paper|measured)(?:\*\*)? \| (.*) \|",
    (ROOT / "README.md").read_text(encoding="utf-8"),
    flags=re.MULTILINE,
)


def test_every_row_is_looked_at() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.partition("| Set5 (validation) |")[2].partition("\n\n")[0].splitlines()[2:]
    foreign = [line for line in table if line.endswith("|") and "as published" in line]
    assert len(foreign) == 1
    assert len(ROWS) == len(table) - 1


def test_the_paper_is_met_as_the_text_says() -> None:
    for scale in (3, 4):
        folder = ROOT / "checkpoints" / f"fdnn_x{scale}"
        sets = json.loads((folder / "benchmark.json").read_text())["sets"]
        for name in SETS:
            psnr, ssim = TABLE_3["FDNN"][name][scale]
            assert sets[name]["psnr"] >= psnr
            assert sets[name]["ssim"] >= ssim


@pytest.mark.parametrize(
    ("label", "scale", "missed"),
    [
        ("checkpoints/fdnn_x4", 4, set()),
        ("checkpoints/fdnn_x3", 3, {"Set5 SSIM", "B100 PSNR"}),
    ],
)
def test_what_is_missed_is_what_the_text_says(label, scale, missed) -> None:
    sets = json.loads((ROOT / label / "benchmark.json").read_text())["sets"]
    found = set()
    for name in SETS:
        psnr, ssim = best(name, scale)
        found |= {f"{name} PSNR"} if sets[name]["psnr"] < psnr else set()
        found |= {f"{name} SSIM"} if sets[name]["ssim"] < ssim else set()
    assert found == missed


def test_the_protocols_page_is_of_these_weights() -> None:
    sets = json.loads((ROOT / "checkpoints" / "fdnn_x3" / "benchmark.json").read_text())["sets"]
    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert f"| the protocol | {sets['Set5']['psnr']:.3f} / {sets['Set5']['ssim']:.4f} |" in page


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row[:3]))
def test_row(row: tuple[str, str, str, str]) -> None:
    name, scale, kind, cells = row
    if kind == "the paper":
        of_all = name == "Best of Table 3"
        printed = [best(s, int(scale)) if of_all else TABLE_3[name][s][int(scale)] for s in SETS]
        scores = [score for score in printed if score]
    else:
        label = f"{name.lower().replace(' ', '_')}_x{scale}"
        folder = ROOT / "checkpoints" / label
        if kind == "measured":
            folder = ROOT / "docs" / "runs" / label
        elif kind != "these weights":
            folder = ROOT / "docs" / "runs" / f"{label}_self_ensemble"
            weights = ROOT / "checkpoints" / label / FILE_NAME
            record = json.loads((folder / "benchmark.json").read_text())
            assert record["weights"]["sha256"] == sha256(weights)
        sets = json.loads((folder / "benchmark.json").read_text())["sets"]
        scores = [(sets[set_name]["psnr"], sets[set_name]["ssim"]) for set_name in SETS]
    assert cells.split(" | ") == [f"{psnr:.2f} / {ssim:.4f}" for psnr, ssim in scores]
