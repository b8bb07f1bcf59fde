import os
import shutil

import pytest

from fdnn.files.errors import UserError
from fdnn.data.sets import COUNTS, PUBLISHED, data_root, find_set


def test_sample_photographs_come_with_scikit_image() -> None:
    train, test = find_set("sample-train"), find_set("sample-test")
    assert not set(train.paths) & set(test.paths)
    assert test.titles() == ["camera", "chelsea", "coffee"]


def test_folder_is_a_set(photos) -> None:
    images = find_set(str(photos))
    assert images.name == "photos"
    assert len(images.paths) == 6
    before = images.sha256()
    images.paths[0].rename(photos / "renamed.png")
    assert find_set(str(photos)).sha256() != before


def test_names_need_not_be_utf8(photos) -> None:
    before = find_set(str(photos)).sha256()
    (photos / "photo1.png").rename(photos / os.fsdecode(b"photo\xe9.png"))
    assert find_set(str(photos)).sha256() != before


def test_images_of_one_stem_keep_their_extensions(photos) -> None:
    shutil.copy(photos / "photo1.png", photos / "photo1.bmp")
    titles = find_set(str(photos)).titles()
    assert titles[:4] == ["photo0", "photo1.bmp", "photo1.png", "photo2"]


def test_published_sets(data) -> None:
    counts = {name: len(find_set(name, data).paths) for name in PUBLISHED}
    assert counts == COUNTS
    assert find_set("Set5", data).titles() == ["baby", "bird", "butterfly", "head", "woman"]


def test_missing_set_names_the_command(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FDNN_DATA", str(tmp_path))
    assert data_root() == tmp_path
    with pytest.raises(UserError, match=r"python data_prep/fetch\.py Set5"):
        find_set("Set5")
    (tmp_path / "Set5").mkdir()
    with pytest.raises(UserError, match=r"no image .*; get it with 'python data_prep/fetch"):
        find_set("Set5")
    with pytest.raises(UserError, match="neither a folder nor one of: T91"):
        find_set("Set55")
