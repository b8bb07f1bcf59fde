"""The evaluation protocol, once.

The scores of the paper's tables come out of exactly these choices (found by reproducing
its Bicubic row, and checked against it by the tests):

1. HR is the BT.601 luma of the 8-bit image, rounded; a gray image is its own luma.
2. HR is cropped to a multiple of the scale; LR = MATLAB ``imresize(HR, 1/scale)`` in
   double precision, not rounded.
3. SR is clipped to [0, 255] and rounded to 8 bits.
4. ``scale`` pixels are shaved off each side of SR and HR (Sec. 4.2: "we also crop the
   boundary pixels").
5. PSNR against a peak of 255 (Eq. 22), SSIM with an 11x11 Gaussian window of sigma 1.5,
   valid positions only, K1 = 0.01, K2 = 0.03 (Eqs. 23-24), both in float64.
6. The score of a set is the mean over its images of the score of each image; squared
   errors are never pooled.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from fdnn.data.sets import ImageSet
from fdnn.evaluation.originals import true_name
from fdnn.files.errors import ImageError
from fdnn.images.luma import to_8_bit
from fdnn.images.pillow import Array

PEAK = 255.0
WINDOW = 11
SIGMA = 1.5
K1, K2 = 0.01, 0.03

PROTOCOL: dict[str, str | float | int | bool] = {
    "channel": "Y of BT.601 YCbCr, studio range (16..235), rounded to 8 bits",
    "hr_crop": "multiple of scale, bottom and right",
    "lr": "MATLAB R2017b imresize bicubic with antialiasing, float64, not rounded",
    "sr_rounding": "clipped to [0, 255], rounded to 8 bits, half up",
    "shave": "scale pixels on each side",
    "psnr_peak": PEAK,
    "ssim_window": f"{WINDOW}x{WINDOW} Gaussian, sigma {SIGMA}, valid positions",
    "ssim_k1": K1,
    "ssim_k2": K2,
    "average": "mean over images of per-image scores",
    "dtype": "float64",
}


def check_size(image: Array, scale: int, path: Path) -> None:
    """Refuse an image that SSIM's window does not fit into once its border is shaved off.

    Args:
        image: The whole of it, ``(h, w[, c])``.
        scale: Magnification.
        path: What to call it.

    Raises:
        ImageError: If it is too small.
    """
    height, width = image.shape[:2]
    smallest = WINDOW + 2 * scale
    if min(n - n % scale for n in (height, width)) < smallest:
        raise ImageError(
            f"{path}: {width}x{height} is too small to be scored at x{scale}; at least "
            f"{smallest + scale - 1} pixels a side are needed"
        )


def shave(image: Tensor, border: int) -> Tensor:
    """Cut ``border`` pixels off each side of ``(..., h, w)``."""
    height, width = image.shape[-2:]
    return image[..., border : height - border, border : width - border]


def psnr(sr: Tensor, hr: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image (Eq. 22).

    Args:
        sr: ``(n, 1, h, w)`` in [0, 255].
        hr: Same shape and range.

    Returns:
        ``(n,)`` in dB, float64; infinite for identical images.
    """
    # torchmetrics' own takes the logarithm of the peak in float32.
    mse = (sr.double() - hr.double()).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(PEAK**2 / mse)


def ssim(sr: Tensor, hr: Tensor) -> Tensor:
    """Structural similarity of each image over valid window positions (Eqs. 23-24).

    As in Wang et al.'s MATLAB code, the window never reaches beyond the image; torchmetrics'
    own SSIM averages over a reflected border too, which moves B100 at x3 by 0.001.

    Args:
        sr: ``(n, 1, h, w)`` in [0, 255], at least 11 pixels high and wide.
        hr: Same shape and range.

    Returns:
        ``(n,)`` in [-1, 1], float64.

    Raises:
        ImageError: If the images are smaller than the window.
    """
    if min(sr.shape[-2:]) < WINDOW:
        size = "x".join(str(n) for n in sr.shape[-2:])
        raise ImageError(f"SSIM needs {WINDOW}x{WINDOW} pixels after shaving, got {size}")
    x, y = sr.double(), hr.double()
    distance = torch.arange(WINDOW, dtype=torch.float64, device=x.device) - WINDOW // 2
    window = torch.exp(-(distance**2) / (2 * SIGMA**2))
    window = window / window.sum()

    def blur(image: Tensor) -> Tensor:
        rows = F.conv2d(image, window.view(1, 1, -1, 1))
        return F.conv2d(rows, window.view(1, 1, 1, -1))

    mean_x, mean_y = blur(x), blur(y)
    variances = blur(x * x) + blur(y * y) - mean_x**2 - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    c1, c2 = (K1 * PEAK) ** 2, (K2 * PEAK) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    contrast_structure = (2 * covariance + c2) / (variances + c2)
    return (luminance * contrast_structure).mean(dim=(1, 2, 3))


@dataclass(frozen=True)
class SetScores:
    """What a network scored on one image set.

    Attributes:
        images: The set.
        psnr: Mean over images, dB.
        ssim: Mean over images.
        per_image: ``(psnr, ssim)`` of each image, in the order of the set.
    """

    images: ImageSet
    psnr: float
    ssim: float
    per_image: list[tuple[float, float]]


class BenchmarkScores(Metric):
    """PSNR and SSIM of every image of one set, under the protocol of this module.

    Scores are kept with the index of their image, so that an image which several
    processes evaluated (padding of unequal shards) counts once.

    Args:
        scale: Magnification, and the number of pixels shaved off each side.
        **kwargs: Of ``torchmetrics.Metric``, about synchronising processes.

    Example:
        >>> scores = BenchmarkScores(scale=3)
        >>> hr = torch.full((1, 1, 30, 30), 100.0)
        >>> scores.update(torch.tensor([0]), hr + 1, hr)
        >>> round(float(scores.compute()["psnr"]), 3)
        48.131
    """

    full_state_update = False
    index: list[Tensor]
    psnr: list[Tensor]
    ssim: list[Tensor]

    def __init__(self, scale: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        self.add_state("index", default=[], dist_reduce_fx="cat")
        self.add_state("psnr", default=[], dist_reduce_fx="cat")
        self.add_state("ssim", default=[], dist_reduce_fx="cat")

    def update(self, index: Tensor, sr: Tensor, hr: Tensor) -> None:
        """Score a batch of images of one size.

        Args:
            index: ``(n,)`` integers, the images' places in the set.
            sr: ``(n, 1, h, w)`` network output in grey levels, not yet clipped or rounded.
            hr: ``(n, 1, h, w)`` ground truth in [0, 255], of whatever bit depth.

        Raises:
            ImageError: If an image is too small for SSIM after shaving.
            ValueError: If ``sr`` and ``hr`` differ in shape.
        """
        if sr.shape != hr.shape:
            raise ValueError(f"SR is {tuple(sr.shape)} but HR is {tuple(hr.shape)}")
        sr = shave(to_8_bit(sr.double()), self.scale)
        hr = shave(to_8_bit(hr.double()), self.scale)
        self.index.append(index.to(torch.int64))
        self.psnr.append(psnr(sr, hr))
        self.ssim.append(ssim(sr, hr))

    def compute(self) -> dict[str, Tensor]:
        """Average over images.

        Returns:
            ``psnr`` in dB and ``ssim``, float64 scalars, and ``images`` ``(n, 3)``: index,
            PSNR and SSIM of each image, in the order of their indices.
        """
        states = (self.index, self.psnr, self.ssim)
        # Synchronising processes has already joined the lists.
        columns = [torch.cat(s) if isinstance(s, list) else s for s in states]
        rows = dict(zip(columns[0].tolist(), torch.stack(columns[1:], dim=1), strict=True))
        images = torch.stack([rows[i] for i in sorted(rows)])
        mean = images.mean(dim=0)
        index = torch.tensor(sorted(rows), dtype=images.dtype, device=images.device)
        images = torch.cat([index[:, None], images], dim=1)
        return {"psnr": mean[0], "ssim": mean[1], "images": images}

    def of_set(self, images: ImageSet) -> SetScores:
        """Compute, and name what was scored; every process must call this.

        A set that was scored in part (``limit_test_batches``) is called so, and has that part's
        images; one of other images than the published set whose name it bears is called so, too:
        nothing may take its scores for those of the set.
        """
        scores = self.compute()
        rows = scores["images"].tolist()
        if len(rows) < len(images):
            part = tuple(images.paths[int(index)] for index, _, _ in rows)
            images = ImageSet(f"{images.name}, {len(part)} of {len(images)}", part)
        name = true_name(images)
        images = images if name == images.name else ImageSet(name, images.paths)
        per_image = [(p, s) for _, p, s in rows]
        return SetScores(images, float(scores["psnr"]), float(scores["ssim"]), per_image)
