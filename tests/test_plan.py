import pytest

from fdnn.errors import UserError
from fdnn.plan import plan


def test_plan(photos, tmp_path) -> None:
    single = photos / "photo2.png"
    assert plan([str(single)], "out", None)[0][1].parts == ("out", "photo2.png")
    assert plan([str(single)], "out", "TIF")[0][1].name == "photo2.tif"
    assert len(plan([str(photos)], "out", None)) == 6
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "photo2.jpg").touch()
    both = [str(photos), str(tmp_path / "other")]
    assert len(plan(both, "out", None)) == 7
    with pytest.raises(UserError, match="would both become"):
        plan(both, "out", "png")


@pytest.mark.parametrize(
    ("inputs", "image_format", "message"),
    [([], None, "nothing to do"), (["gone"], None, "gone"), (["."], "xyz", "unknown --format")],
)
def test_bad_plans(inputs, image_format, message) -> None:
    with pytest.raises(UserError, match=message):
        plan(inputs, "out", image_format)
