import math

import pytest
import torch
from PIL import Image

from fdnn.data.sets import find_set
from fdnn.evaluation.score import score
from fdnn.export.graphs import build
from fdnn.export.parity import SIZES, on_images, on_noise, reference
from fdnn.files.errors import ImageError, UserError
from fdnn.models import FDNN, Bicubic


@pytest.fixture
def net() -> FDNN:
    torch.manual_seed(0)
    return FDNN(3, channels=4, init="spread").eval()


def test_equal_networks(net) -> None:
    rows = list(on_noise(net, net, "luma"))
    assert len(rows) == len(SIZES)
    assert all(row.largest == 0 and row.psnr == math.inf and row.hr is None for row in rows)


@pytest.mark.parametrize("graph", ["luma", "rgb"])
def test_differences_are_found(net, graph) -> None:
    module = build(net, graph)
    for row in on_noise(net, lambda lr: module(lr) - 1e-3, graph):
        assert row.largest == pytest.approx(1e-3, abs=1e-5)
        assert row.psnr == pytest.approx(60, abs=0.1)


def test_luma_scores_are_the_protocols(net, photos) -> None:
    images = find_set(str(photos))
    rows = list(on_images(net, build(net, "luma"), "luma", images))
    expected = [psnr for psnr, _ in score(net, images).per_image]
    assert [row.hr[0] for row in rows] == pytest.approx(expected, abs=1e-6)
    assert [row.hr[1] for row in rows] == pytest.approx(expected, abs=1e-3)


def test_rgb_scores_are_near_those_of_luma(photos) -> None:
    Image.open(photos / "photo0.png").convert("L").save(photos / "gray.png")
    net, images = Bicubic(3), find_set(str(photos))
    rows = list(on_images(net, lambda lr: reference(net, lr).float(), "rgb", images))
    scores = [psnr for psnr, _ in score(net, images).per_image]
    expected = dict(zip(images.titles(), scores, strict=True))
    # A gray image's luma has the studio range here, which lowers its contrast.
    expected["gray"] += 20 * math.log10(255 / 219)
    assert {row.name: row.hr[1] for row in rows} == pytest.approx(expected, abs=0.5)


def test_small_images(net, tmp_path) -> None:
    Image.new("RGB", (6, 40)).save(tmp_path / "small.png")
    with pytest.raises(ImageError, match=r"small\.png: .*too small"):
        list(on_images(net, net, "rgb", find_set(str(tmp_path))))


def test_wrong_shape(net) -> None:
    with pytest.raises(UserError, match=r"\(1, 1, 1, 1\) instead of \(1, 1, 3, 3\)"):
        next(on_noise(net, lambda lr: lr, "luma"))
