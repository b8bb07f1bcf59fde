"""ScSR, super-resolution by sparse representation (Yang, Wright, Huang, Ma; TIP 2010).

::

    lr -- bicubic x2 -- gradients -- sparse code over D_l -- same code over D_h --(+)-- back-
     +--- bicubic xs -------------- mean of the patch ----------------------------+     projection

A dictionary in two parts was learned such that one sparse code gives both the gradients of an LR
patch (over D_l) and the texture of the HR patch (over D_h, Sec. III-A). Patches have 3 x 3 LR
pixels; their gradients are taken from the LR image magnified by 2 (Sec. III-C). The result is
made to agree with the LR image by back-projection (Sec. III-B).

How it is read here:

* **Coding.** The paper solves a LASSO for every patch, one after the other. Here all patches are
  coded at once by orthogonal matching pursuit with a fixed number of atoms, which bounds the work.
* **Overlap.** Patches lie one LR pixel apart; the paper has two. Overlaps are averaged: the code
  of a patch is not asked to agree with its neighbours' results.
* **Contrast.** The HR part is scaled with the LR part it was learned with, so that codes of
  gradients of any strength give textures of the right one.
* **Back-projection.** Shrinking and magnifying are the protocol's bicubic, five times over: each
  time, a pixel comes to depend on four more LR pixels to each side.

Nothing here is learned by gradient descent: ``data_prep/fit_scsr.py`` makes the weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdnn.images.resize import imresize
from fdnn.models.baselines.pursuit import pursue
from fdnn.models.network import Network

#: LR pixels along a patch.
SIDE = 3

#: Magnification of the image whose gradients are coded.
MIDDLE = 2

#: Rounds of back-projection.
ROUNDS = 5

#: Patches that are coded at once.
BLOCK = 65536

#: Reach of the second-order filter in pixels of the magnified image.
REACH = 2


def gradients(image: Tensor) -> Tensor:
    """Filter with [-1 0 1], [1 0 -2 0 1] and their transposes (Eq. 9).

    Args:
        image: ``(n, 1, h, w)``.

    Returns:
        ``(n, 4, h - 4, w - 4)``.
    """

    def along_rows(x: Tensor) -> list[Tensor]:
        x = x[..., REACH:-REACH, :]
        a, b, c, d, e = (x[..., i : x.shape[-1] - 2 * REACH + i] for i in range(5))
        return [d - b, a - 2 * c + e]

    columns = [y.mT for y in along_rows(image.mT)]
    return torch.cat([*along_rows(image), *columns], dim=1)


class ScSR(Network):
    """Sparse coding with a joint dictionary.

    The weights are parameters without gradients, so that they are counted, moved and saved
    like those of any network.

    Args:
        scale: Magnification s.
        atoms: Dictionary size (1,024 in the paper).
        sparsity: Atoms in the code of a patch.

    Raises:
        ValueError: If there are no atoms, or none in a code.

    Attributes:
        low: ``(atoms, 4 * 6 * 6)``, D_l, unit vectors.
        high: ``(atoms, (3 s)**2)``, D_h.
    """

    fitted_by = "python data_prep/fit_scsr.py"

    def __init__(self, scale: int, atoms: int = 1024, sparsity: int = 4) -> None:
        if min(atoms, sparsity) < 1:
            raise ValueError(f"atoms={atoms} and sparsity={sparsity} must be 1 or more")
        super().__init__(scale)
        self.arguments = {"scale": scale, "atoms": atoms, "sparsity": sparsity}
        self.sparsity = sparsity
        described, pixels = 4 * (SIDE * MIDDLE) ** 2, (SIDE * scale) ** 2
        self.low = nn.Parameter(torch.zeros(atoms, described), requires_grad=False)
        self.high = nn.Parameter(torch.zeros(atoms, pixels), requires_grad=False)

    @property
    def context(self) -> int:
        """Patch, gradients and bicubic, and shrinking and magnifying in each round."""
        return (SIDE - 1) + 1 + 2 + ROUNDS * 4

    def describe(self, lr: Tensor) -> Tensor:
        """Gradients of every patch that touches the image; the border repeats beyond itself.

        Args:
            lr: ``(n, 1, h, w)``.

        Returns:
            ``(n * (h + 2) * (w + 2), 4 * 6 * 6)``.
        """
        middle = imresize(lr, MIDDLE)
        border = (SIDE - 1) * MIDDLE + REACH
        maps = gradients(F.pad(middle, (border,) * 4, mode="replicate"))
        return F.unfold(maps, SIDE * MIDDLE, stride=MIDDLE).mT.flatten(0, 1)

    def forward(self, lr: Tensor) -> Tensor:
        """Map ``(n, 1, h, w)`` in [0, 1] to ``(n, 1, scale * h, scale * w)``, not clamped."""
        s, (n, _, h, w) = self.scale, lr.shape
        exact = lr.double()  # which atom fits best must not depend on the cut into tiles
        codes = [
            pursue(patches, self.low.double(), self.sparsity)
            for patches in torch.split(self.describe(exact), BLOCK)
        ]
        high = self.high.double()
        textures = torch.cat([(weights[:, None] @ high[used])[:, 0] for used, weights in codes])
        rows, columns, side = h + SIDE - 1, w + SIDE - 1, SIDE * s
        border = (SIDE - 1) * s
        bicubic = F.pad(imresize(exact, s), (border,) * 4, mode="replicate")
        means = F.avg_pool2d(bicubic, side, stride=s).view(n, 1, -1)
        patches = textures.view(n, rows * columns, -1).mT + means
        size = (s * (rows + SIDE - 1), s * (columns + SIDE - 1))
        summed = F.fold(patches, size, kernel_size=side, stride=s)
        sr = summed[..., border:-border, border:-border] / SIDE**2
        for _ in range(ROUNDS):
            sr = sr + imresize(exact - imresize(sr, size=(h, w)), s)
        return sr.to(lr.dtype)
