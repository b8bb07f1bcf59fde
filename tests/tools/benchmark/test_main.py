import json
from functools import partial

from fdnn.training import module
from tools.benchmark import inference, limit, training
from tools.benchmark.__main__ import main
from tools.benchmark.timing import precisions


def test_all_tables_on_tiny_sizes(monkeypatch, tmp_path, capsys) -> None:
    for holder, name, value in (
        (training, "BATCH", 2),
        (training, "PATCH", 8),
        (inference, "SIZES", [(24, 18)]),
        (limit, "SHAPES", [(1, 8, 8)]),
        (training, "through_trainer", partial(training.through_trainer, count=12)),
    ):
        monkeypatch.setattr(holder, name, value)
    for holder in (module, training, inference):  # compilers take a minute
        monkeypatch.setattr(holder, "compiler_works", lambda _: False)
    output = tmp_path / "speed.json"
    options = ["--scales", "3", "--repeats", "1", "--output", str(output)]
    assert main(options) == 0
    text = capsys.readouterr().out
    for title in ("Training step x3, 2 pairs of 8x8", "Inference x3 to 24x18", "overhead"):
        assert title in text
    written = json.loads(output.read_text())
    assert set(written["training"]["x3"]) == {
        f"{form}, {precision}" for form in ("literal", "ours") for precision in precisions()
    }
    assert 0 <= written["trainer"]["data_wait"] <= 1
    rows = written["inference"]["x3 24x18"]
    assert {"literal, fp32", *(f"eager, {name}" for name in precisions())} <= set(rows)
    assert all(row["seconds"]["median"] > 0 for row in rows.values())
