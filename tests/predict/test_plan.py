import os
from pathlib import Path

import pytest

from fdnn.files.errors import UserError
from fdnn.predict.plan import plan


def test_files_folders_and_formats(photos, tmp_path) -> None:
    single = photos / "photo2.png"
    assert plan([str(single)], "out")[0] == (single, Path("out", "photo2.png"))
    assert plan([str(single)], "out", "TIF")[0].target.name == "photo2.tif"
    assert plan([str(single)], "out", None, "_x3")[0].target.name == "photo2_x3.png"
    assert len(plan([str(photos)], "out")) == 6
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "photo2.jpg").touch()
    both = [str(photos), str(tmp_path / "other")]
    assert len(plan(both, "out")) == 7
    with pytest.raises(UserError, match="would both become"):
        plan(both, "out", "png")
    assert len(plan([str(single), str(photos)], "out")) == 6  # named twice, done once


def test_a_link_to_nothing_is_an_input(photos) -> None:
    # So that it fails by name instead of being passed over.
    (photos / "gone.png").symlink_to("nowhere.png")
    (photos / "itself.png").symlink_to("itself.png")
    assert len(plan([str(photos)], "out")) == 8


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (
        "in/a.png", "in/sub/a.png", "in/sub/deep/b c.JPG", "in/sub/Ähre 日本.webp",
        "in/notes.txt", "in/.hidden.png", "in/.git/x.png", "in/._a.png", "in/clip.mp4",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def targets(*inputs: str, output: str = "out", **options) -> list[str]:
    return sorted(
        job.target.relative_to(output).as_posix() for job in plan(inputs, output, **options)
    )


def test_folders_keep_their_structure(tree) -> None:
    expected = ["a.png", "clip.mp4", "sub/a.png", "sub/deep/b c.JPG", "sub/Ähre 日本.webp"]
    assert targets("in") == sorted(expected)
    assert targets(str(tree / "in")) == sorted(expected)


def test_an_output_above_the_inputs(tree) -> None:
    (tree / "in" / "a.png").unlink()  # which sub/a.png would become
    assert "sub/a.png" in targets("in", output=".")
    assert targets("in/sub/*.png", output="in") == ["a.png"]


def test_patterns(tree) -> None:
    assert targets("in/*.png") == ["a.png"]
    assert targets("in/**/*.png") == ["a.png", "sub/a.png"]
    assert targets("in/s*/*.png") == ["sub/a.png"]
    assert targets(str(tree / "in" / "sub" / "**" / "b*")) == ["deep/b c.JPG"]
    with pytest.raises(UserError, match=r"matches 'in/\*\.bmp'"):
        plan(["in/*.bmp"], "out")
    (tree / "in" / "[1].png").touch()  # a file of that name is no pattern
    assert targets("in/[1].png") == ["[1].png"]


def test_links_to_folders_are_followed_but_not_in_circles(tree) -> None:
    (tree / "elsewhere" / "deep").mkdir(parents=True)
    (tree / "elsewhere" / "deep" / "far.png").touch()
    before = targets("in")
    (tree / "in" / "linked").symlink_to(tree / "elsewhere")
    (tree / "elsewhere" / "back").symlink_to(tree / "in")
    (tree / "in" / "itself").symlink_to(tree / "in")
    assert sorted(targets("in")) == sorted([*before, "linked/deep/far.png"])


def test_a_format_is_one_for_images_or_for_videos(tree) -> None:
    assert "clip.mp4" in targets("in", file_format="png")
    assert {"clip.mkv", "a.png"} <= set(targets("in", file_format="mkv"))


def test_results_of_an_earlier_run_are_no_inputs(tree) -> None:
    before = targets("in", output="in/large")
    for name in before:
        (tree / "in" / "large" / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / "in" / "large" / name).touch()
    assert targets("in", output="in/large") == before
    first = plan(["in"], "in", None, "_x3")
    first[0].target.touch()
    assert plan(["in"], "in", None, "_x3") == first
    with pytest.raises(UserError, match=r"would be overwritten"):
        plan(["in", str(first[0].target)], "in", None, "_x3")
    first[0].target.unlink()
    there = plan(["in/sub"], "in/sub", "tif")
    there[0].target.touch()
    assert plan(["in/sub"], "in/sub", "tif") == there


def test_names_that_look_like_a_home_folder(tree) -> None:
    (tree / "~photo.png").touch()
    assert targets("~photo.png") == ["~photo.png"]
    assert targets("in/a.png", output="~nobody-here/x") == ["a.png"]
    with pytest.raises(UserError, match="no such file or folder: ~gone"):
        plan(["~gone"], "out")


def test_a_folder_that_cannot_be_read(tree, monkeypatch) -> None:
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"folder in/sub/deep cannot be read \(Permission denied"):
        plan(["in"], "out")


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        ([], {}, "nothing to do"),
        ([""], {}, "an --input is empty"),
        (["gone"], {}, "no such file or folder: gone"),
        (["pipe"], {}, "neither a file nor a folder: pipe"),
        (["."], {"file_format": "xyz"}, "unknown --format 'xyz'"),
        (["in/a.png"], {"output": ""}, "--output is empty"),
        (["in/a.png"], {"output": "in"}, "would be overwritten"),
        (["in/a.png"], {"output": "in/a.png"}, "is a file"),
        (["in/a.png"], {"suffix": "/x"}, "--suffix '/x'"),
        (["empty"], {}, "in folder: empty"),
    ],
)
def test_bad_plans(tree, inputs, options, message) -> None:
    (tree / "empty").mkdir()
    os.mkfifo(tree / "pipe")
    with pytest.raises(UserError, match=message):
        plan(inputs, **{"output": "out", **options})
