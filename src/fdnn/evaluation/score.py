"""Whole images, shrunk, magnified again by a network, and scored; free of Lightning."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from fdnn.data.sets import ImageSet
from fdnn.evaluation.metrics import BenchmarkScores, SetScores, check_size
from fdnn.images.io import read_image
from fdnn.images.luma import luma, modcrop, plane
from fdnn.images.resize import imresize
from fdnn.models import Network


class BenchmarkImages(Dataset[dict[str, Any]]):
    """Whole images with their LR versions, as the evaluation protocol makes them.

    Args:
        images: The set.
        scale: Magnification.
    """

    def __init__(self, images: ImageSet, scale: int) -> None:
        self.images = images
        self.scale = scale

    def __len__(self) -> int:
        return len(self.images.paths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return ``index`` (1,), ``lr`` (1, 1, h, w) float32 and ``hr`` (1, 1, s h, s w).

        ``lr`` lies in [0, 1], or a little beyond where bicubic overshoots; ``hr`` is float64 in
        [0, 255], rounded to the bit depth of the file.

        Raises:
            ImageError: If the file cannot be read or is too small to be scored.
        """
        path = self.images.paths[index]
        whole = luma(read_image(path))
        check_size(whole, self.scale, path)
        image = plane(modcrop(whole, self.scale, path))
        lr = imresize(image, 1 / self.scale)
        return {"index": torch.tensor([index]), "lr": lr.float() / 255, "hr": image}


@torch.inference_mode()
def score(net: Network, images: ImageSet) -> SetScores:
    """Score a network on a set, in this process alone (:mod:`fdnn.evaluation.metrics`).

    Args:
        net: Any network of :mod:`fdnn.models`, on the CPU.
        images: The set.

    Raises:
        ImageError: If an image cannot be read or is too small to be scored.
    """
    metric = BenchmarkScores(net.scale, distributed_available_fn=lambda: False)
    items = BenchmarkImages(images, net.scale)
    for item in (items[i] for i in range(len(items))):
        sr: Tensor = net(item["lr"])
        metric.update(item["index"], sr * 255, item["hr"])
    return metric.of_set(images)
