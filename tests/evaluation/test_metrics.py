import math
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from fdnn.data.sets import find_set
from fdnn.evaluation.metrics import BenchmarkScores, psnr, shave, ssim
from fdnn.evaluation.published import TABLE_3
from fdnn.evaluation.score import score
from fdnn.files.errors import ImageError
from fdnn.images.luma import to_8_bit
from fdnn.models import Bicubic


def pair(random, *size: int) -> tuple[torch.Tensor, torch.Tensor]:
    hr = random.integers(0, 256, size).astype(float)
    sr = np.clip(hr + random.normal(0, 20, size), 0, 255)
    return torch.from_numpy(sr), torch.from_numpy(hr)


@pytest.mark.parametrize("size", [(11, 11), (40, 31), (23, 64)])
def test_ssim_equals_scikit_image(random, size) -> None:
    sr, hr = pair(random, *size)
    # Its window of sigma 1.5 and truncation 3.5 has 11 x 11 pixels; the border of 5 is cut.
    _, every = structural_similarity(
        hr.numpy(), sr.numpy(), data_range=255, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )  # fmt: skip
    expected = every[5:-5, 5:-5].mean()
    assert float(ssim(sr[None, None], hr[None, None])) == pytest.approx(expected, abs=1e-6)


def test_psnr_equals_scikit_image(random) -> None:
    sr, hr = pair(random, 30, 40)
    expected = peak_signal_noise_ratio(hr.numpy(), sr.numpy(), data_range=255)
    assert float(psnr(sr[None, None], hr[None, None])) == pytest.approx(expected, abs=1e-9)


def test_identical_images(random) -> None:
    _, hr = pair(random, 2, 1, 20, 20)
    assert psnr(hr, hr).tolist() == [math.inf, math.inf]
    assert ssim(hr, hr).tolist() == pytest.approx([1, 1])


def test_too_small_for_ssim() -> None:
    with pytest.raises(ImageError, match="10x30"):
        ssim(torch.zeros(1, 1, 10, 30), torch.zeros(1, 1, 10, 30))


def test_rounding_is_matlabs() -> None:
    assert to_8_bit(torch.tensor([-3.0, 0.5, 1.4999, 2.5, 254.5, 300.0])).tolist() == [
        0, 1, 1, 3, 255, 255,
    ]  # fmt: skip


def test_scores_are_means_of_images_and_count_each_once(random) -> None:
    metric = BenchmarkScores(scale=2)
    pairs = [pair(random, 1, 1, 30 + i, 40) for i in range(3)]
    for i in (2, 0, 1, 0):  # one image comes twice, as from a padded shard
        metric.update(torch.tensor([i]), *pairs[i])
    scores = metric.compute()
    each = [psnr(shave(to_8_bit(s), 2), shave(h, 2)).item() for s, h in pairs]
    assert scores["images"][:, 0].tolist() == [0, 1, 2]
    assert scores["images"][:, 1].tolist() == each
    assert float(scores["psnr"]) == pytest.approx(np.mean(each), abs=1e-12)
    pooled = 10 * math.log10(255**2 / np.mean([10 ** (-p / 10) * 255**2 for p in each]))
    assert float(scores["psnr"]) != pytest.approx(pooled, abs=1e-6)


def test_16_bit_hr_is_rounded_as_the_protocol_says(random) -> None:
    hr = torch.from_numpy(random.integers(0, 65536, (1, 1, 30, 40)) / 257)
    metric = BenchmarkScores(2)
    metric.update(torch.tensor([0]), hr, hr)
    assert metric.compute()["psnr"] == math.inf
    assert metric.compute()["ssim"] == 1


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="SR is"):
        BenchmarkScores(2).update(
            torch.tensor([0]), torch.zeros(1, 1, 20, 20), torch.zeros(1, 1, 20, 22)
        )


@pytest.mark.parametrize("scale", [3, 4])
@pytest.mark.parametrize(
    ("name", "decibels", "similarity"),
    [("Set5", 0.005, 0.0003), ("Set14", 0.01, 0.001), ("B100", 0.005, 0.0003)],
)
def test_bicubic_row_of_table_3(data: Path, name, decibels, similarity, scale) -> None:
    """The proof of the protocol: the paper's own Bicubic row comes out."""
    scores = score(Bicubic(scale), find_set(name, data))
    printed = TABLE_3["Bicubic"][name][scale]
    assert scores.psnr == pytest.approx(printed[0], abs=decibels)
    assert scores.ssim == pytest.approx(printed[1], abs=similarity)
