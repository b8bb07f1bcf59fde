from pathlib import Path

from fdnn.evaluation.published import TABLE_1, TABLE_4
from tools.report.ablations import of_table_4, table_1, table_4
from tools.report.records import Run


def scored(label: str, model: str, scale: int, more: float, sha256: str) -> Run:
    """A test whose scores are Table 1's MSE column, or Table 4's row, and ``more`` dB."""
    if model == "VDSR10":
        printed = {name: row[scale] for name, row in TABLE_1["VDSR10 MSE"].items()}
    else:
        printed = {name: psnr for name, (psnr, _) in TABLE_4[model].items()}
    sets = {name: {"psnr": psnr + more, "ssim": 0.9} for name, psnr in printed.items()}
    weights = {"sha256": sha256}
    return Run(Path(label), {"model": model, "scale": scale, "sets": sets, "weights": weights})


def fitted(sha256: str, **facts: object) -> Run:
    steps = {"steps": 12000, "hours": 0.2, "parameters": 297000, "seed": 0}
    return Run(Path(f"fit_{sha256}"), record={**steps, "weights_sha256": sha256, **facts})


def rows(table: str) -> dict[str, list[str]]:
    lines = [[c.strip() for c in line.strip("|").split("|")] for line in table.splitlines()]
    return {
        f"{line[0]} {line[1]}" if line[1:2] and line[1][:1] == "x" else line[0]: line
        for line in lines
    }


def test_table_1_tells_the_loss_by_the_fit_of_the_weights() -> None:
    tests = [
        *(scored(f"mse_x{scale}", "VDSR10", scale, 0.5, "m") for scale in (2, 3, 4)),
        scored("kl_x2", "VDSR10", 2, 0.6, "k"),
        scored("other", "VDSR10", 2, 9, "o"),
        scored("lost", "VDSR10", 2, 9, "l"),
    ]
    fits = [
        fitted("m", loss="MSE"),
        fitted("k", loss="MSE + KL", seed=3),
        fitted("o", loss="MSE + 0.1 KL"),
    ]
    text = table_1([*tests, *fits])
    found = rows(text)
    # 36.65 + 0.5 beside 36.65, 36.65 + 0.6 beside 36.96.
    assert found["Set5 x2"] == [
        "Set5", "x2", "37.150 (36.65, +0.50)", "37.250 (36.96, +0.29)", "+0.10", "+0.31",
    ]  # fmt: skip
    assert found["B100 x4"] == ["B100", "x4", "27.440 (26.94, +0.50)", "(26.96)", "", "+0.02"]
    assert found["VDSR10 MSE"] == ["VDSR10 MSE", "297,000", "12,000", "12.0", "0"]
    assert found["VDSR10 MSE-KL"][-1] == "3"
    assert "`lost` (loss unknown: no fit of these weights says it)" in text
    assert "`other` (loss MSE + 0.1 KL)" in text


def test_seeds_of_table_1_are_averaged() -> None:
    tests = [scored("a", "VDSR10", 2, 0.1, "a"), scored("b", "VDSR10", 2, 0.3, "b")]
    fits = [fitted("a", loss="MSE", seed=1), fitted("b", loss="MSE", seed=0)]
    again = scored("published", "VDSR10", 2, 0.3, "b")  # the same weights, which count once
    found = rows(table_1([*tests, again, *fits]))
    # In the order of the seeds.
    assert found["Set5 x2"][2] == "36.850 (36.65, +0.20)<br>each: 36.950, 36.750"
    assert found["VDSR10 MSE"][-1] == "0, 1"


def test_table_4_averages_seeds_and_knows_its_own_fdnn() -> None:
    tests = [
        scored("t4_fcnn_s1", "FCNN", 3, 0.3, "f1"),
        scored("t4_fcnn_s0", "FCNN", 3, 0.1, "f0"),
        scored("t4_c5d5_s0", "C5D5", 3, -0.1, "c"),
        scored("t4_fdnn_s0", "FDNN", 3, -0.2, "n"),
        scored("fdnn_x3", "FDNN", 3, 9, "shipped"),
    ]
    fits = [fitted("f0", hours=0.1), fitted("f1", seed=1), fitted("c"), fitted("n")]
    text = table_4([*tests, *fits, fitted("shipped", steps=26000)])
    found = rows(text)
    assert found["FCNN"] == ["FCNN", "297,000", "12,000", "6.0, 12.0", "0, 1", *[
        "32.350 (32.15, +0.20)<br>0.9000 (0.8999, +0.0001)<br>each: 32.250, 32.450",
        "29.590 (29.39, +0.20)<br>0.9000 (0.8375, +0.0625)<br>each: 29.490, 29.690",
        # The SSIM printed for this one is a misprint.
        "28.350 (28.15, +0.20)<br>0.9000<br>each: 28.250, 28.450",
    ]]  # fmt: skip
    assert found["C5D5"][5].startswith("33.560 (33.66, -0.10)")
    assert found["FDNN"][5].startswith("33.480 (33.68, -0.20)")
    assert found["C2D8"] == ["C2D8", "", "", "", "", *[
        f"({psnr:.2f})<br>({ssim:.4f})" for psnr, ssim in TABLE_4["C2D8"].values()
    ]]  # fmt: skip
    assert "not equal" not in text
    assert "not equal" in table_4([*tests, *fits[:-1], fitted("n", steps=10000)])


def test_runs_of_table_4() -> None:
    assert of_table_4(scored("c5d5_x3", "C5D5", 3, 0, "c"))
    assert of_table_4(Run(Path("t4_fdnn_s2"), record={}))
    assert not of_table_4(scored("fdnn_x3", "FDNN", 3, 0, "c"))
    assert not of_table_4(Run(Path("fit"), record={}))
