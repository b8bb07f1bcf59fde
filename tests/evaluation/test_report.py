import json
import math
import os
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from fdnn.data.sets import ImageSet, find_set
from fdnn.evaluation.metrics import SetScores
from fdnn.evaluation.published import TABLE_2, TABLE_3
from fdnn.evaluation.report import as_json, show, write


def scores(photos: Path, name: str = "photos") -> SetScores:
    paths = find_set(str(photos)).paths[:2]
    return SetScores(ImageSet(name, paths), 31.5, 0.9, [(31.0, 0.85), (32.0, 0.95)])


def test_json_and_csv(photos, tmp_path) -> None:
    weights = {"path": "w", "sha256": "0" * 64}
    benchmark = as_json("FDNN", 3, {"photos": scores(photos)}, weights, "eager, fp32")
    path = write(tmp_path / "run", benchmark)
    read = json.loads(path.read_text())
    assert read == benchmark
    assert set(read) == {"model", "scale", "weights", "engine", "protocol", "versions", "sets"}
    assert read["sets"]["photos"]["images"]["photo1"] == {"psnr": 32.0, "ssim": 0.95}
    assert path.with_suffix(".csv").read_text().splitlines()[-1] == "FDNN,3,photos,MEAN,31.5,0.9"


def test_a_name_that_is_not_utf_8(tmp_path) -> None:
    image = tmp_path / os.fsdecode(b"caf\xe9.png")
    image.write_bytes(b"")
    images = ImageSet("photos", (image,))
    results = {"photos": SetScores(images, 31.0, 0.9, [(31.0, 0.9)])}
    path = write(tmp_path, as_json("FDNN", 3, results, None, "eager, fp32"))
    assert b",caf\xe9,31.0," in path.with_suffix(".csv").read_bytes()


def test_infinite_psnr_is_valid_json(photos, tmp_path) -> None:
    images = ImageSet("photos", find_set(str(photos)).paths[:1])
    perfect = SetScores(images, math.inf, 1.0, [(math.inf, 1.0)])
    path = write(tmp_path, as_json("Bicubic", 2, {"photos": perfect}, None, "eager, fp32"))
    read = json.loads(path.read_text(), parse_constant=lambda _: pytest.fail("not JSON"))
    assert read["sets"]["photos"]["psnr"] is None


def test_papers_figures_stand_beside_ours(photos) -> None:
    out = StringIO()
    show("FDNN", 3, {"Set5": scores(photos, "Set5")}, console=Console(file=out, width=120))
    text = out.getvalue()
    assert "FDNN, paper's Table 3" in text
    assert "33.68" in text
    assert "-2.18" in text  # 31.50 - 33.68
    assert "Bicubic, paper's Table 3" in text


def test_names_are_shown_as_they_are(photos) -> None:
    """Brackets too, which Rich takes for styles."""
    out = StringIO()
    console = Console(file=out, width=120)
    image = photos / "x[red].png"
    results = {"[/a]": SetScores(ImageSet("[/a]", (image,)), 30.0, 0.9, [(30.0, 0.9)])}
    show("SwinIR [ours]", 3, results, {"[b]": results}, per_image=True, console=console)
    for name in ("[/a] x3", "SwinIR [ours], measured", "[b], measured", "x[red]"):
        assert name in out.getvalue()


def test_printed_tables_agree_with_each_other() -> None:
    # Table 2's images average to Table 3's means as nearly as the paper's own figures do
    # (FDNN: 33.668 and 33.68 dB); a mistyped digit would be further off.
    for method in ("Bicubic", "SRCNN", "VDSR", "FDNN"):
        each = [TABLE_2[image][method] for image in TABLE_2]
        mean = [sum(values) / 5 for values in zip(*each, strict=True)]
        assert mean == [
            pytest.approx(TABLE_3[method]["Set5"][3][0], abs=0.02),
            pytest.approx(TABLE_3[method]["Set5"][3][1], abs=0.001),
        ]
