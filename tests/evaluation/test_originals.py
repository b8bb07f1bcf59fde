import shutil
from io import StringIO

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from fdnn.data.sets import ImageSet, find_set
from fdnn.evaluation.originals import DIGESTS, true_name
from fdnn.evaluation.report import show
from fdnn.evaluation.score import score
from fdnn.models import Bicubic


def test_published_sets_keep_their_names(data) -> None:
    for name in DIGESTS:
        assert true_name(find_set(name, data)) == name


def test_names_and_types_of_files_do_not_matter(data, tmp_path) -> None:
    folder = tmp_path / "Set5"
    folder.mkdir()
    for i, path in enumerate(find_set("Set5", data).paths):
        Image.open(path).save(folder / f"{9 - i}.bmp")
    assert true_name(find_set(str(folder))) == "Set5"


@pytest.mark.parametrize("how", ["an image less", "one pixel", "gray as RGB"])
def test_other_images_are_called_so(data, tmp_path, how) -> None:
    name = "Set14" if how == "gray as RGB" else "Set5"
    folder = tmp_path / name
    shutil.copytree(data / name, folder)
    paths = find_set(str(folder)).paths
    if how == "an image less":
        paths[0].unlink()
    elif how == "one pixel":
        pixels = np.array(Image.open(paths[2]))
        pixels[5, 7] ^= 64
        Image.fromarray(pixels).save(paths[2])
    else:
        gray = next(path for path in paths if Image.open(path).mode == "L")
        Image.open(gray).convert("RGB").save(gray)
    assert true_name(find_set(str(folder))) == f"{name}, other images"


def test_own_folder_of_a_published_name(photos, tmp_path) -> None:
    """No figure of the paper stands beside scores of other images."""
    folder = tmp_path / "Set5"
    photos.rename(folder)
    images = ImageSet("Set5", find_set(str(folder)).paths[:1])
    scores = score(Bicubic(3), images)
    assert scores.images.name == "Set5, other images"
    out = StringIO()
    show("FDNN", 3, {scores.images.name: scores}, console=Console(file=out, width=120))
    assert "paper's Table 3" not in out.getvalue()
    assert "python data_prep/fetch.py Set5" in out.getvalue()


def test_sets_of_other_names_are_not_read(tmp_path) -> None:
    assert true_name(ImageSet("mine", (tmp_path / "missing.png",))) == "mine"
