from pathlib import Path

import pytest

from fdnn.evaluation.published import TABLE_2, TABLE_3
from tools.report.cells import cell, figure, signed, system
from tools.report.comparisons import table_2, table_3, to_the_best
from tools.report.records import Run


def scored(label: str, model: str, scale: int, psnr: float, sha256: str = "") -> Run:
    score = {"psnr": psnr, "ssim": 0.9, "images": {"baby": {"psnr": psnr + 2, "ssim": 0.95}}}
    sets = dict.fromkeys(["Set5", "Set14", "B100"], score)
    weights = {"sha256": sha256} if sha256 else None
    return Run(Path(label), {"model": model, "scale": scale, "sets": sets, "weights": weights})


def rows(table: str) -> list[list[str]]:
    return [[c.strip() for c in line.strip("|").split("|")] for line in table.splitlines()][2:]


@pytest.mark.parametrize(
    ("ours", "printed", "expected"),
    [
        (29.7233, 29.80, "29.723 (29.80, -0.08)"),
        (29.7233, None, "29.723"),
        (None, 29.8, "(29.80)"),
        (29.7999, 29.8, "29.800 (29.80, +0.00)"),
        (None, None, ""),
    ],
)
def test_figures(ours, printed, expected) -> None:
    assert figure(ours, printed) == expected


def test_cells() -> None:
    assert cell((30.0, 0.9), (29.0, None)) == "30.000 (29.00, +1.00)<br>0.9000"
    assert cell(None, (29.0, 0.85), "more") == "(29.00)<br>(0.8500)<br>more"
    assert signed(-0.00004, 4) == "+0.0000"
    assert system("FDNNDeep + self-ensemble") == "FDNN deep + self-ensemble"
    assert system("FDNNDeep") == "FDNN deep"
    assert system("APlus") == "A+"


def test_table_3_has_a_row_for_each_system_by_quality() -> None:
    fit = Run(
        Path("fit"),
        record={
            "weights_sha256": "p",
            "parameters": 295617,
            "steps": 32000,
            "hours": 0.5,
            "hardware": "A processor (2 threads), A card",
            "started_from": {"sha256": "0"},
        },
    )
    aplus = scored("aplus_x3", "APlus", 3, 29.0)
    aplus.record = {"parameters": 2528760, "minutes": 33.8}
    deep = scored("deep_x3", "FDNNDeep", 3, 29.9, "p")
    tests = [deep, aplus, scored("bicubic_x3", "Bicubic", 3, 27.5), scored("x4", "FDNN", 4, 28)]
    found = rows(table_3(tests, 3, [*tests, fit]))
    names = [row[0] for row in found]
    assert names == [
        "Bicubic", "A+", "SRCNN", "ESCN", "SML", "DEGREE2", "VDSR", "MSDEPC", "FDNN", "FDNN deep",
    ]  # fmt: skip
    assert found[0][2:5] == ["", "", ""]
    assert found[1][:5] == ["A+", "aplus_x3", "2,528,760", "", "33.8"]
    assert found[1][6] == "29.000 (29.13, -0.13)<br>0.9000 (0.8188, +0.0812)"
    assert found[2] == ["SRCNN", "", "", "", "", *[
        f"({psnr:.2f})<br>({ssim:.4f})"
        for psnr, ssim in (by_scale[3] for by_scale in TABLE_3["SRCNN"].values())
    ]]  # fmt: skip
    assert found[-1][:5] == ["FDNN deep", "deep_x3", "295,617", "32,000 +", "30.0, A card"]
    # The paper has no x2: nothing stands in brackets.
    two = rows(table_3([scored("x2", "FDNN", 2, 32.9)], 2, []))
    assert two == [["FDNN", "x2", "", "", "", *3 * ["32.900<br>0.9000"]]]


def test_only_fdnn_is_held_against_the_best() -> None:
    tests = [scored("x4", "FDNN + self-ensemble", 4, 28), scored("aplus_x3", "APlus", 3, 29)]
    # MSDEPC has the best PSNR, VDSR the best SSIM on Set5 and B100.
    assert rows(to_the_best([*tests, scored("x2", "FDNN", 2, 33)])) == [
        ["x4", "FDNN + self-ensemble", "x4", *[
            "-3.41 / +0.0162", "-0.02 / +0.1321", "+0.70 / +0.1749",
        ]]
    ]  # fmt: skip


def test_table_2_has_a_column_for_each_image() -> None:
    tests = [
        scored("fdnn_x3", "FDNN", 3, 33.41),
        scored("bicubic_x3", "Bicubic", 3, 31.0),
        scored("scsr_x3", "ScSR", 3, 32.0),  # not in Table 2
        scored("fdnn_x4", "FDNN", 4, 31.0),
    ]
    found = rows(table_2(tests))
    assert [row[1] for row in found] == ["bicubic_x3", "fdnn_x3"]
    assert found[1][2] == "35.410 (35.41, +0.00)<br>0.9500 (0.9270, +0.0230)"
    psnr, ssim = TABLE_2["bird"]["FDNN"]
    assert found[1][3] == f"({psnr:.2f})<br>({ssim:.4f})"
