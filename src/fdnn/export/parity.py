"""Does an exported file compute what the network computes?

The reference is the network in PyTorch as it was trained, and for colour NumPy's and
:mod:`fdnn.images.resize`'s double precision: nothing of :mod:`fdnn.export.graphs`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fdnn.data.sets import ImageSet
from fdnn.evaluation.metrics import psnr, shave
from fdnn.evaluation.score import BenchmarkImages
from fdnn.export.graphs import Graph
from fdnn.files.errors import ImageError, UserError
from fdnn.images.io import read_image
from fdnn.images.luma import luma, modcrop, rgb_to_ycbcr, split_alpha, to_8_bit, ycbcr_to_rgb
from fdnn.images.resize import imresize
from fdnn.models import Network

Run = Callable[[Tensor], Tensor]

#: LR sizes ``(n, h, w)`` to try: odd ones, and the smallest.
SIZES = ((1, 1, 1), (1, 1, 9), (2, 2, 3), (1, 7, 5), (3, 16, 16), (1, 33, 50), (1, 101, 67))


class Difference(NamedTuple):
    """How far two magnified images are apart.

    Attributes:
        name: Of the image, or its LR size.
        largest: Largest absolute difference of all values, for values in [0, 1].
        psnr: Between the two, dB with a peak of 1; infinite if they are equal.
        hr: PSNR to HR of the reference and of the exported file, dB, under the protocol of
            :mod:`fdnn.evaluation.metrics`; nothing where there is no HR.
    """

    name: str
    largest: float
    psnr: float
    hr: tuple[float, float] | None = None


def runner(file: Path) -> Run:
    """Prepare an exported file for use on the CPU.

    Args:
        file: ``.onnx``, which needs onnxruntime, or ``.pt2``.

    Returns:
        Maps LR ``(n, c, h, w)`` to SR ``(n, c, scale * h, scale * w)``, float32.
    """
    if file.suffix == ".pt2":
        module = torch.export.load(file).module()

        def run(lr: Tensor) -> Tensor:
            sr: Tensor = module(lr)
            return sr

        return run

    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda lr: torch.from_numpy(session.run(["sr"], {"lr": lr.numpy()})[0])


def reference(net: Network, lr: Tensor) -> Tensor:
    """Magnify luma ``(n, 1, h, w)`` or RGB ``(n, 3, h, w)`` in [0, 1] without an exported graph."""
    if lr.shape[1] == 1:
        sr: Tensor = net(lr)
        return sr
    ycbcr = torch.from_numpy(rgb_to_ycbcr(lr.double().movedim(1, -1).numpy())).movedim(-1, 1)
    y = net(ycbcr[:, :1].float() / 255).double() * 255
    magnified = torch.cat([y, imresize(ycbcr[:, 1:], net.scale)], dim=1)
    return (
        torch.from_numpy(ycbcr_to_rgb(magnified.movedim(1, -1).numpy())).movedim(-1, 1).clamp(0, 1)
    )


@torch.inference_mode()
def on_noise(net: Network, run: Run, graph: Graph) -> Iterator[Difference]:
    """Compare on random images of all :data:`SIZES`.

    Args:
        net: The network in PyTorch.
        run: The exported file, see :func:`runner`.
        graph: Which of the two was exported.
    """
    generator = torch.Generator().manual_seed(0)
    for n, height, width in SIZES:
        lr = torch.rand(n, 1 if graph == "luma" else 3, height, width, generator=generator)
        yield _difference(f"{n}x{height}x{width}", run(lr), reference(net, lr))


@torch.inference_mode()
def on_images(net: Network, run: Run, graph: Graph, images: ImageSet) -> Iterator[Difference]:
    """Compare on images that are shrunk first, and measure both against the originals.

    Luma is scored as in the paper's tables. For RGB, the colours are shrunk, and the luma of
    the result, rounded once, is scored; a gray image counts as a colour image.

    Args:
        net: The network in PyTorch.
        run: The exported file, see :func:`runner`.
        graph: Which of the two was exported.
        images: The set.

    Raises:
        ImageError: If an image cannot be read or is too small.
    """
    for index, title in enumerate(images.titles()):
        if graph == "luma":
            item = BenchmarkImages(images, net.scale)[index]
            lr, hr = item["lr"], item["hr"]
        else:
            lr, hr = _colour_pair(images.paths[index], net.scale)
        expected, found = reference(net, lr), run(lr)
        scores = [_psnr_to_hr(sr.double(), hr, net.scale) for sr in (expected, found)]
        yield _difference(title, found, expected)._replace(hr=(scores[0], scores[1]))


def _colour_pair(path: Path, scale: int) -> tuple[Tensor, Tensor]:
    """Read an image; return LR RGB ``(1, 3, h, w)`` in [0, 1] and HR luma in [0, 255]."""
    image, _ = split_alpha(read_image(path))
    if image.ndim == 2:
        image = np.stack([image] * 3, axis=-1)
    image = modcrop(image, scale, path)
    if min(image.shape[:2]) <= 2 * scale:
        raise ImageError(f"{path}: {image.shape[1]}x{image.shape[0]} is too small for x{scale}")
    peak = float(np.iinfo(image.dtype).max)
    rgb = torch.from_numpy(image / peak).movedim(-1, 0)[None]
    lr = imresize(rgb, 1 / scale).clamp(0, 1).float()
    return lr, torch.from_numpy(luma(image))[None, None]


def _psnr_to_hr(sr: Tensor, hr: Tensor, scale: int) -> float:
    if sr.shape[1] == 3:
        sr = torch.from_numpy(rgb_to_ycbcr(sr.movedim(1, -1).numpy())[..., 0])[:, None] / 255
    return float(psnr(shave(to_8_bit(sr * 255), scale), shave(to_8_bit(hr), scale)))


def _difference(name: str, found: Tensor, expected: Tensor) -> Difference:
    if found.shape != expected.shape:
        shapes = f"{tuple(found.shape)} instead of {tuple(expected.shape)}"
        raise UserError(f"the exported file returns {shapes} for {name}")
    error = (found.double() - expected.double()).abs()
    mse = float(error.square().mean())
    return Difference(name, float(error.max()), -10 * math.log10(mse) if mse else math.inf)
