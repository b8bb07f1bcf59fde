"""Fit ScSR (models/scsr.py) to images: a joint dictionary of LR gradients and HR textures.

    python data_prep/fit_scsr.py --scale 3

writes the folder logs/scsr_x3 with weights, record, scores and card. A patch's gradients
and its texture (HR less the mean of bicubic) are made alike in energy, joined (Yang et al. 2010,
Sec. IV) and brought to unit length; K-SVD finds atoms of which each is a sum of few; the two
parts of an atom are the rows of the two dictionaries.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from fdnn.images.resize import imresize
from fdnn.models.baselines.scsr import SIDE, ScSR
from fitted import main
from ksvd import ksvd

ATOMS = 1024
PATCHES = 30_000
SPARSITY = 4
ROUNDS = 10

#: Patches whose texture varies less (mean square, grey levels of 255) teach nothing.
FLAT = 10.0

#: An atom whose LR part is shorter than this, of a length of 1, is not to be had from LR images.
UNSEEN = 0.1

DEPARTURES = """\
* The joint dictionary is learned by K-SVD with 4 atoms a patch, from 30,000 of the patches (drawn
  by the seed), where the paper alternates between LASSO and constrained least squares on 100,000.
* A patch is coded by orthogonal matching pursuit with 4 atoms instead of a LASSO.
* Patches overlap by two LR pixels, and overlaps are averaged; the paper has an overlap of one, and
  asks for agreement.
* An atom's HR part is scaled with its LR part; five rounds of bicubic back-projection.
"""


def pairs(images: Sequence[Tensor], scale: int) -> tuple[Tensor, Tensor]:
    """Gather all patches that lie inside the images and are not flat.

    Args:
        images: HR luma, ``(1, 1, h, w)`` float64 in [0, 1], multiples of ``scale``.
        scale: Magnification.

    Returns:
        Gradients ``(n, 144)`` and textures ``(n, (3 s)**2)``, float32.
    """
    net, side = ScSR(scale, atoms=1), SIDE * scale
    lows, highs = [], []
    for hr in images:
        lr = imresize(hr, 1 / scale)
        rows, columns = lr.shape[-2] + SIDE - 1, lr.shape[-1] + SIDE - 1
        grid = net.describe(lr).view(rows, columns, -1)
        low = grid[SIDE - 1 : 1 - SIDE, SIDE - 1 : 1 - SIDE].flatten(0, 1)
        patches = F.unfold(hr, side, stride=scale)[0].T
        means = F.avg_pool2d(imresize(lr, scale), side, stride=scale).view(-1, 1)
        high = patches - means
        textured = high.square().mean(dim=1) > FLAT / 255**2
        lows.append(low[textured].float())
        highs.append(high[textured].float())
    return torch.cat(lows), torch.cat(highs)


def fit(
    images: Sequence[Tensor], scale: int, seed: int, atoms: int | None = None
) -> tuple[ScSR, int]:
    """Fit the network.

    Args:
        images: As :func:`pairs` takes them.
        scale: Magnification.
        seed: Decides which patches are used, and for K-SVD's start.
        atoms: Dictionary size; default ``ATOMS``.

    Returns:
        The network and the number of patches.

    Raises:
        UserError: If there are fewer patches than atoms, see :func:`ksvd.ksvd`.
    """
    atoms = atoms or ATOMS
    low, high = pairs(images, scale)
    order = torch.randperm(len(low), generator=torch.Generator().manual_seed(seed))[:PATCHES]
    low, high = low[order], high[order]
    balance = low.norm() / high.norm()
    joint = F.normalize(torch.cat([low, balance * high], dim=1))
    print(f"K-SVD: {atoms} atoms from {len(joint):,} patches", flush=True)
    dictionary = ksvd(joint, atoms, SPARSITY, ROUNDS, seed)
    net = ScSR(scale, atoms, SPARSITY)
    part = dictionary[:, : low.shape[1]]
    length = part.norm(dim=1, keepdim=True)
    texture = dictionary[:, low.shape[1] :] / balance / length.clamp(min=UNSEEN)
    net.low.copy_(F.normalize(part))
    net.high.copy_(torch.where(length < UNSEEN, 0.0, texture))
    return net.eval(), len(joint)


if __name__ == "__main__":
    sys.exit(main("scsr", fit, DEPARTURES))
