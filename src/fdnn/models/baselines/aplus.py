"""A+, adjusted anchored neighbourhood regression (Timofte, De Smet, Van Gool; ACCV 2014).

::

    lr -- bicubic --+-- gradients -- PCA -- nearest of 1,024 atoms -- its matrix --(+)-- sr
                    +---------------- overlapping 3s x 3s patches ------------------+

Every patch of 3 x 3 LR pixels, one LR pixel apart, is described by first- and second-order
differences of the bicubic image (those of Zeyde et al. 2010, compressed by PCA to 99.9 % of
their energy). The atom of a sparse dictionary with which this description correlates most
names a matrix, which was fitted by ridge regression to the 2,048 training patches around that
atom, and which maps the description to what bicubic lacks. Overlapping results are averaged.

Nothing here is learned by gradient descent: ``data_prep/fit_aplus.py`` makes the weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdnn.images.resize import imresize
from fdnn.models.network import Network

#: LR pixels along a patch.
SIDE = 3

#: Patches whose correlations with all atoms are in memory at once.
BLOCK = 8192


def gradients(image: Tensor, reach: int) -> Tensor:
    """First and second differences along rows and columns.

    Neighbours are ``reach`` pixels, one LR pixel, apart.

    Args:
        image: ``(n, 1, h, w)``.
        reach: Distance in pixels, and the border that is lost on each side.

    Returns:
        ``(n, 4, h - 2 * reach, w - 2 * reach)``: horizontal, vertical, then second order.
    """

    def along_rows(x: Tensor) -> tuple[Tensor, Tensor]:
        length = x.shape[-1] - 2 * reach
        before, after = reach // 2, reach - reach // 2

        def at(offset: int) -> Tensor:
            return x[..., reach : x.shape[-2] - reach, reach + offset : reach + offset + length]

        return at(after) - at(-before), (at(-reach) + at(reach)) / 2 - at(0)

    (x1, x2), (y1, y2) = along_rows(image), along_rows(image.mT)
    return torch.cat([x1, y1.mT, x2, y2.mT], dim=1)


class APlus(Network):
    """Anchored regression from gradients of the bicubic image to its error.

    The weights are parameters without gradients, so that they are counted, moved and saved
    like those of any network.

    Args:
        scale: Magnification s.
        features: Length of a patch's description after PCA; the fit finds it.
        atoms: Dictionary size (1,024 in the paper).

    Raises:
        ValueError: If there are no features or no atoms.

    Attributes:
        projection: ``(features, 4, 3 s, 3 s)``, PCA's leading directions.
        anchors: ``(atoms, features)``, unit vectors.
        regressors: ``(atoms, (3 s)**2, features)``.
    """

    fitted_by = "python data_prep/fit_aplus.py"

    def __init__(self, scale: int, features: int, atoms: int = 1024) -> None:
        if min(features, atoms) < 1:
            raise ValueError(f"features={features} and atoms={atoms} must be 1 or more")
        super().__init__(scale)
        self.arguments = {"scale": scale, "features": features, "atoms": atoms}
        side = SIDE * scale

        def weights(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.zeros(shape), requires_grad=False)

        self.projection = weights(features, 4, side, side)
        self.anchors = weights(atoms, features)
        self.regressors = weights(atoms, side**2, features)

    @property
    def context(self) -> int:
        """Two pixels to the far end of a patch, one for differences, two for bicubic."""
        return (SIDE - 1) + 1 + 2

    def describe(self, bicubic: Tensor) -> Tensor:
        """Describe every patch that touches the image; beyond its border, the border repeats.

        Args:
            bicubic: ``(n, 1, s h, s w)``.

        Returns:
            ``(n, features, h + 2, w + 2)`` in float64: which of two atoms is nearer must not
            depend on how an image is cut into tiles.
        """
        border = SIDE * self.scale
        padded = F.pad(bicubic.double(), (border,) * 4, mode="replicate")
        maps = gradients(padded, self.scale)
        return F.conv2d(maps, self.projection.double().contiguous(), stride=self.scale)

    def regress(self, features: Tensor) -> Tensor:
        """Map descriptions ``(m, features)`` to patches ``(m, (3 s)**2)`` of detail."""
        anchors = self.anchors.to(features.dtype).T
        blocks = torch.split(features, BLOCK)
        nearest = torch.cat([(block @ anchors).abs().argmax(dim=1) for block in blocks])
        order = nearest.argsort(stable=True)
        counts = nearest.bincount(minlength=len(self.anchors)).tolist()
        groups = torch.split(features.to(self.regressors.dtype)[order], counts)
        pairs = zip(groups, self.regressors, strict=True)
        details = torch.cat([group @ matrix.T for group, matrix in pairs if len(group)])
        return torch.empty_like(details).index_copy_(0, order, details)

    def forward(self, lr: Tensor) -> Tensor:
        """Map ``(n, 1, h, w)`` in [0, 1] to ``(n, 1, scale * h, scale * w)``, not clamped."""
        s = self.scale
        bicubic = imresize(lr.double(), s)
        described = self.describe(bicubic)
        n, k, rows, columns = described.shape
        patches = self.regress(described.permute(0, 2, 3, 1).reshape(-1, k))
        patches = patches.view(n, rows * columns, -1).transpose(1, 2)
        size = (s * (rows + SIDE - 1), s * (columns + SIDE - 1))
        summed = F.fold(patches, size, kernel_size=SIDE * s, stride=s)
        border = (SIDE - 1) * s
        detail = summed[..., border:-border, border:-border] / SIDE**2
        return (bicubic + detail).to(lr.dtype)
