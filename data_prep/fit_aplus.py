"""Fit A+ (models/aplus.py) to images: dictionary, PCA and regressors, all by linear algebra.

    python data_prep/fit_aplus.py --scale 3

writes the folder logs/aplus_x3 with weights, record, scores and card. The steps are
those of Timofte, De Smet, Van Gool (2014) with their numbers:

1. PCA of the patches' gradients, two LR pixels apart, to 99.9 % of their energy;
2. K-SVD of the same patches, 1,024 atoms, 3 a patch, 20 rounds;
3. all patches, one LR pixel apart, of each image at 12 sizes (factor 0.98), the first five
   million: descriptions of unit length, HR residuals divided by the same length;
4. for each atom, the 2,048 patches that correlate most with it, and one ridge regression
   (lambda 0.1) from description to residual.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fdnn.images.resize import imresize
from fdnn.models.baselines.aplus import SIDE, APlus, gradients
from fitted import main
from ksvd import ksvd

SIZES = 12
FACTOR = 0.98
ENERGY = 0.999
ATOMS = 1024
SPARSITY = 3
ROUNDS = 20
MOST_SAMPLES = 5_000_000
NEIGHBOURS = 2048
RIDGE = 0.1

#: Patches darker in detail than this keep their length in step 3.
FLAT = 0.1

#: Samples whose correlations with all atoms are in memory at once.
BLOCK = 8192

#: One sample of so many tells how near the nearest are.
THIN = 64

DEPARTURES = """\
* LR images, bicubic and gradients at the border are those of this project: the bicubic image is
  continued by its border pixels, where the authors' program sees zeros and leaves one LR pixel out.
* K-SVD is written here, from the papers; its random start differs from the authors'.
"""


def enlarged(hr: Tensor, scale: int) -> Tensor:
    """Shrink ``(1, 1, h, w)`` by ``scale`` and magnify it again, both by bicubic."""
    return imresize(imresize(hr, 1 / scale), scale)


def border_maps(bicubic: Tensor, scale: int) -> Tensor:
    """Gradients ``(1, 4, h, w)`` of an image that goes on beyond its border."""
    return gradients(F.pad(bicubic, (scale,) * 4, mode="replicate"), scale)


def cut(planes: Tensor, scale: int, step: int) -> Tensor:
    """Cut ``(1, c, h, w)`` into rows: ``(n, c * (3 s)**2)``; one LR pixel at the border is left."""
    inner = planes[..., scale:-scale, scale:-scale]
    return F.unfold(inner, SIDE * scale, stride=step * scale)[0].T


def principal(images: Sequence[Tensor], scale: int, energy: float) -> tuple[Tensor, Tensor]:
    """Find the main directions of the patches' gradients.

    Args:
        images: HR, ``(1, 1, h, w)`` float64.
        scale: Magnification.
        energy: Share of the sum of squares that is kept.

    Returns:
        Projection ``(features, 4 * (3 s)**2)`` in float64 and the projected patches
        ``(n, features)`` in float32.
    """
    patches = [cut(border_maps(enlarged(hr, scale), scale), scale, step=2) for hr in images]
    values, vectors = torch.linalg.eigh(sum((p.T @ p for p in patches), torch.tensor(0.0)))
    ignored = int((values.cumsum(0) / values.sum() < 1 - energy).sum())
    projection = vectors[:, ignored:].T.flip(0)
    return projection, torch.cat([(p @ projection.T).float() for p in patches])


def samples(
    images: Sequence[Tensor], scale: int, projection: Tensor, most: int
) -> tuple[Tensor, Tensor]:
    """Gather normalised pairs of description and HR residual.

    Args:
        images: HR, ``(1, 1, h, w)`` float64.
        scale: Magnification.
        projection: Of the gradients, see :func:`principal`.
        most: Pairs after which to stop.

    Returns:
        ``(n, features)`` and ``(n, (3 s)**2)`` in float32.
    """
    side = SIDE * scale
    kernel = projection.float().view(-1, 4, side, side)

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        for i in range(SIZES):
            for image in images:
                hr = imresize(image, FACTOR**i) if i else image
                hr = hr[..., : hr.shape[-2] // scale * scale, : hr.shape[-1] // scale * scale]
                bicubic = enlarged(hr, scale)
                inner = border_maps(bicubic, scale)[..., scale:-scale, scale:-scale]
                described = F.conv2d(inner.float(), kernel, stride=scale)[0].flatten(1).T
                yield described, cut((hr - bicubic).float(), scale, step=1)

    lows, highs, count = [], [], 0
    for low, high in pairs():
        # Neighbours in memory now, so that samples are quick to pick later.
        lows.append(low[: most - count].contiguous())
        highs.append(high[: most - count].contiguous())
        count += len(lows[-1])
        if count == most:
            break
    low, high = torch.cat(lows), torch.cat(highs)
    del lows, highs
    length = low.norm(dim=1, keepdim=True)
    low /= length.clamp(min=torch.finfo(torch.float64).eps)
    high /= torch.where(length < FLAT, 1.0, length)
    return low, high


def neighbours(low: Tensor, anchors: Tensor, count: int) -> list[Tensor]:
    """Find the samples that correlate most with each atom.

    All samples are looked at once; those above a threshold, taken from every 64th sample, are
    sorted.

    Args:
        low: ``(n, features)``.
        anchors: ``(atoms, features)``.
        count: Samples for each atom.

    Returns:
        For each atom the indices ``(count,)`` of its samples, ``(n,)`` if there are fewer.
    """
    count = min(count, len(low))
    sparse = anchors @ low[::THIN].T
    expected = count / THIN
    rank = min(math.ceil(expected + 4 * expected**0.5) + 1, sparse.shape[1])
    thresholds = sparse.topk(rank, dim=1).values[:, -1:]
    atoms, indices, values = [], [], []
    for start in range(0, len(low), BLOCK):
        correlation = anchors @ low[start : start + BLOCK].T
        # NumPy's search is several times faster than PyTorch's.
        found = torch.from_numpy(np.flatnonzero((correlation >= thresholds).numpy()))
        atoms.append(found // correlation.shape[1])
        indices.append(found % correlation.shape[1] + start)
        values.append(correlation.flatten()[found])
    order = torch.cat(atoms).argsort(stable=True)
    sizes = torch.cat(atoms).bincount(minlength=len(anchors)).tolist()
    index_groups = torch.split(torch.cat(indices)[order], sizes)
    value_groups = torch.split(torch.cat(values)[order], sizes)
    nearest = []
    for anchor, index, value in zip(anchors, index_groups, value_groups, strict=True):
        if len(index) < count:  # the threshold was too high
            index, value = torch.arange(len(low)), low @ anchor
        nearest.append(index[value.topk(count).indices])
    return nearest


def regressors(low: Tensor, high: Tensor, nearest: Sequence[Tensor]) -> Tensor:
    """Fit one matrix for each atom to the samples around it.

    Args:
        low: ``(n, features)``.
        high: ``(n, pixels)``.
        nearest: Indices of samples for each atom.

    Returns:
        ``(atoms, pixels, features)``.
    """
    ridge = RIDGE * torch.eye(low.shape[1], dtype=torch.float64)
    fitted = []
    for index in nearest:
        x, y = low[index].double(), high[index].double()
        fitted.append(torch.linalg.solve(x.T @ x + ridge, x.T @ y).T.float())
    return torch.stack(fitted)


def fit(
    images: Sequence[Tensor],
    scale: int,
    seed: int,
    atoms: int | None = None,
    most: int = MOST_SAMPLES,
    count: int = NEIGHBOURS,
) -> tuple[APlus, int]:
    """Fit the network.

    Args:
        images: HR luma, ``(1, 1, h, w)`` float64 in [0, 1], multiples of ``scale``.
        scale: Magnification.
        seed: For K-SVD's start.
        atoms: Dictionary size; default ``ATOMS``.
        most: Samples at most.
        count: Samples around each atom.

    Returns:
        The network and the number of samples.

    Raises:
        UserError: If there are fewer patches than atoms, see :func:`ksvd.ksvd`.
    """
    atoms = atoms or ATOMS
    projection, patches = principal(images, scale, ENERGY)
    print(f"PCA: {len(projection)} of {projection.shape[1]} dimensions", flush=True)
    anchors = ksvd(patches, atoms, SPARSITY, ROUNDS, seed)
    print(f"K-SVD: {atoms} atoms from {len(patches):,} patches", flush=True)
    low, high = samples(images, scale, projection, most)
    print(f"regressing on {len(low):,} patches", flush=True)
    net = APlus(scale, len(projection), atoms)
    net.projection.copy_(projection.view_as(net.projection))
    net.anchors.copy_(anchors)
    net.regressors.copy_(regressors(low, high, neighbours(low, anchors, count)))
    return net.eval(), len(low)


if __name__ == "__main__":
    sys.exit(main("aplus", fit, DEPARTURES))
