import numpy as np
import pytest
import torch
from PIL import Image

from fdnn.data.sets import find_set
from fdnn.evaluation.score import BenchmarkImages, score
from fdnn.files.errors import ImageError
from fdnn.images.io import read_image
from fdnn.images.luma import luma, modcrop
from fdnn.images.resize import imresize
from fdnn.models import Bicubic


def test_benchmark_images_follow_the_protocol(photos) -> None:
    images = find_set(str(photos))
    item = BenchmarkImages(images, 3)[2]
    hr = modcrop(luma(read_image(images.paths[2])), 3)
    assert item["index"].tolist() == [2]
    assert np.array_equal(item["hr"][0, 0].numpy(), hr)
    lr = imresize(torch.from_numpy(hr.copy()), 1 / 3) / 255
    assert torch.allclose(item["lr"][0, 0], lr.float())
    assert item["lr"].unique().numel() > 256  # not quantised


def test_too_small_to_be_scored(tmp_path) -> None:
    Image.fromarray(np.zeros((20, 16), np.uint8)).save(tmp_path / "small.png")
    with pytest.raises(ImageError, match=r"small\.png: 16x20.*at least 19"):
        BenchmarkImages(find_set(str(tmp_path)), 3)[0]


def test_score_names_its_images(photos) -> None:
    images = find_set(str(photos))
    scores = score(Bicubic(2), images)
    assert scores.images is images
    assert len(scores.per_image) == 6
    assert scores.psnr == pytest.approx(np.mean([p for p, _ in scores.per_image]))
