"""The README's table of results says what the records say."""

import json
import re
from pathlib import Path

import pytest

from fdnn.files.digest import sha256
from fdnn.published import TABLE_3
from fdnn.weights import FILE_NAME

ROOT = Path(__file__).parents[1]
SETS = ("Set5", "Set14", "B100")
FOLDERS = {"A+": "aplus"}
ROWS = re.findall(
    r"^\| (?:\*\*)?([\w +]+) x([234]), "
    r"(these weights|(?:first stage, )?self-ensemble|the paper|measured)(?:\*\*)? \| (.*) \|",
    (ROOT / "README.md").read_text(encoding="utf-8"),
    flags=re.MULTILINE,
)


def test_there_are_rows() -> None:
    found = {(name, scale) for name, scale, _ in (row[:3] for row in ROWS)}
    assert {("FDNN", scale) for scale in "234"} <= found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row[:3]))
def test_row(row: tuple[str, str, str, str]) -> None:
    name, scale, kind, cells = row
    if kind == "the paper":
        scores = [TABLE_3[name][set_name][int(scale)] for set_name in SETS]
    else:
        label = f"{FOLDERS.get(name, name.lower().replace(' ', '_'))}_x{scale}"
        folder = ROOT / "checkpoints" / label
        if kind == "measured":
            folder = ROOT / "docs" / "runs" / label
        elif kind != "these weights":
            stage = "_stage1" if kind.startswith("first stage") else ""
            folder = ROOT / "docs" / "runs" / f"{label}{stage}_self_ensemble"
            weights = ROOT / "checkpoints" / label / stage.removeprefix("_") / FILE_NAME
            record = json.loads((folder / "benchmark.json").read_text())
            assert record["weights"]["sha256"] == sha256(weights)
        sets = json.loads((folder / "benchmark.json").read_text())["sets"]
        scores = [(sets[set_name]["psnr"], sets[set_name]["ssim"]) for set_name in SETS]
    assert cells.split(" | ") == [f"{psnr:.2f} / {ssim:.4f}" for psnr, ssim in scores]
