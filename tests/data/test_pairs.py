import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from fdnn.files.errors import ImageError, UserError
from fdnn.data.pairs import PairStore
from fdnn.images.resize import imresize


def test_lr_is_made_from_the_whole_image(store) -> None:
    for hr, lr in store(resized_copies=[0.5]).pairs:
        expected = imresize(torch.from_numpy(hr).double(), 1 / 3)
        assert torch.allclose(torch.from_numpy(lr), expected.float())
        assert hr.shape == (3 * lr.shape[0], 3 * lr.shape[1])


def test_large_collections_live_on_disk(store, tmp_path) -> None:
    in_memory = store(resized_copies=[0.7])
    on_disk = store(resized_copies=[0.7], memory_mb=0, cache_dir=tmp_path / "cache")
    assert on_disk.file.is_file()
    for one, other in zip(in_memory.pairs, on_disk.pairs, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    written = on_disk.file.stat().st_mtime_ns
    again = store(resized_copies=[0.7], memory_mb=0, cache_dir=tmp_path / "cache")
    assert again.file.stat().st_mtime_ns == written
    sent = pickle.dumps(on_disk)
    assert len(sent) < 10_000
    assert np.array_equal(pickle.loads(sent).pairs[3][0], on_disk.pairs[3][0])
    # Another choice, or another image, is another file.
    assert store(memory_mb=0, cache_dir=tmp_path / "cache").file != on_disk.file


@pytest.mark.parametrize("damage", ["truncated", "flipped", "deleted", "no index", "wrong index"])
def test_a_damaged_file_is_named_and_made_anew(store, tmp_path, caplog, damage) -> None:
    options = {"memory_mb": 0, "cache_dir": tmp_path / "cache"}
    whole = store(**options)
    file, index = whole.file, whole.file.with_suffix(".json")
    content = file.read_bytes()
    if damage == "truncated":
        file.write_bytes(content[:-4096])
    elif damage == "flipped":
        file.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    elif damage == "deleted":
        file.unlink()
    elif damage == "no index":
        index.unlink()
    else:
        index.write_text('{"shapes": []}')
    again = PairStore(whole.sources, whole.scale, whole.patch_size, **options)
    again.prepare()
    again.load()
    assert (f"{file} is damaged" in caplog.text) == (damage != "deleted")
    assert file.read_bytes() == content
    assert len(again.pairs) == 6


def test_an_image_deleted_since_the_file_was_written(store, tmp_path) -> None:
    options = {"memory_mb": 0, "cache_dir": tmp_path / "cache"}
    paths = store(**options).sources
    paths[2].unlink()
    with pytest.raises(ImageError, match=r"photo2\.png: no such file"):
        PairStore(paths, 2, 24, **options).load()
    lenient = PairStore(paths, 2, 24, on_error="skip", **options)
    lenient.load()
    assert len(lenient.pairs) == 5
    assert len(lenient.skipped) == 1


def test_resized_copies(store) -> None:
    made = store(resized_copies=[0.5])
    assert len(made.pairs) == 12
    # A copy smaller than the patch is left out.
    assert len(store(resized_copies=[0.5], patch_size=60).pairs) == 6


def test_unusable_files(store, photos) -> None:
    whole = photos / "photo3.png"
    (photos / "broken.png").write_bytes(whole.read_bytes()[:200])
    Image.fromarray(np.zeros((10, 200), np.uint8)).save(photos / "flat.png")
    with pytest.raises(ImageError, match=r"broken\.png"):
        store()
    lenient = store(on_error="skip")
    assert len(lenient.pairs) == 6
    assert [("broken" in s, "flat.png: 200x10" in s) for s in lenient.skipped] == [
        (True, False),
        (False, True),
    ]
    shutil.copy(photos / "broken.png", photos.parent / "x.png")
    for file in photos.glob("photo*"):
        file.unlink()
    for options in ({}, {"memory_mb": 0, "cache_dir": photos.parent / "cache"}):
        with pytest.raises(UserError, match="none of the 2"):
            store(on_error="skip", **options)
