"""SML (Li, Dong, Xie, Shi, Wu, Li: Image super-resolution with parametric sparse model learning).

IEEE Trans. Image Processing 27(9), 2018, after a NIPS paper of 2016. A reading of its model, of
which we know the abstracts alone: the papers solve a sparse-coding problem for each image, this is
a network that takes a few of the solver's steps and learns their constants.

The model, as read: every HR patch R_i x has a sparse code a_i over the dictionary D_k of its
cluster k, with a Laplacian prior about an expected code b_i, and the HR image shrinks to the LR
image y,

    min over x, a  |y - H x|^2 + sum_i (|R_i x - D_k a_i|^2 + sum_j t_kj |a_ij - b_ij|).

b_i comes from the training set (a mapping from LR to codes) and from the image itself::

    lr -- 8 x 3x3, 64 -+- 1x1, softmax -- clusters
     |                 +- 1x1 --(+ codes of bicubic)-- expected codes --+
     |                                                                 (b)-- step -- patches --+
     +-- bicubic --+-- patches --+-- mean of similar ones -- codes -----+    |                 |
                   |             +-- codes ----------------------------------+                 |
                   +--(+)-- agree with lr -- again, then sr                                    |
                       +-----------------------------------------------------------------------+

Certain, from the abstracts of both papers and from Cao, Yao, Liang 2020 (Sec. 1): a parametric
sparse prior is learned from the training set and from the LR image, codes and HR patches follow by
sparse coding; the 2018 paper names deep neural networks among its index terms.

Read into it: clusters, prior and the terms above; that a deep network is the mapping; patches of
3x3 LR pixels one pixel apart, as in A+; 16 clusters, 32 atoms each, 2 rounds. Soft thresholding
about b moves a towards b by t at most, so that in each round

    a <- a + clamp(b - a, -t, t),  x <- x + mean_i D_k (change of a_i),  x <- x + c H'(y - H x),

with bicubic shrinking for H and bicubic magnification for H'.

For training by gradient descent from end to end, a patch belongs to all clusters in parts, and
the dictionaries, cosines at the start, are learned with the rest. Similar patches are sought among
the 24 neighbours: over the whole image, no bounded part of the input would suffice.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdnn.models.layers import polyphase
from fdnn.models.layers.convolution import SameConv, replicate
from fdnn.models.network import Network

#: LR pixels along a patch.
SIDE = 3

#: LR pixels to each side among which similar patches are sought.
WINDOW = 2

#: Difference of patches, as a root mean square, at which their similarity falls to 1/e.
ALIKE = 0.05


def cosines(side: int, count: int) -> Tensor:
    """Make the smoothest two-dimensional cosines (DCT-II) but the constant one.

    Returns:
        ``(count, side**2)``, orthonormal.
    """
    k = torch.arange(side, dtype=torch.float64)
    waves = (math.pi / side * k[:, None] * (k + 0.5)).cos()
    waves = waves / waves.norm(dim=1, keepdim=True)
    order = (k[:, None] ** 2 + k**2).flatten().argsort(stable=True)[1 : count + 1]
    products: Tensor = waves[order // side, :, None] * waves[order % side, None]
    return products.flatten(1)


class SML(Network):
    """Sparse coding about codes that a network expects.

    Args:
        scale: Magnification.
        layers: 3x3 convolutions of the network.
        channels: Their filters.
        clusters: Dictionaries.
        atoms: Atoms of each, at most ``(3 * scale)**2 - 1``.
        rounds: Steps of the solver.

    Raises:
        ValueError: If there are too many atoms.
    """

    def __init__(
        self,
        scale: int,
        layers: int = 8,
        channels: int = 64,
        clusters: int = 16,
        atoms: int = 32,
        rounds: int = 2,
    ) -> None:
        super().__init__(scale)
        limit = (SIDE * scale) ** 2 - 1
        if not 1 <= atoms <= limit:
            raise ValueError(f"atoms must be 1 to (3 * scale)**2 - 1 = {limit}, got {atoms}")
        if min(layers, clusters, rounds) < 1:
            raise ValueError(
                f"layers={layers}, clusters={clusters} and rounds={rounds} must be at least 1"
            )
        self.arguments |= {"layers": layers, "channels": channels}
        self.arguments |= {"clusters": clusters, "atoms": atoms, "rounds": rounds}
        self.atoms = atoms
        self.upsample = polyphase.PolyphaseBicubic(1, scale)
        self.reduce = polyphase.PolyphaseBicubic(1, 1, block=scale)
        self.layers = nn.ModuleList(
            SameConv(channels if i else 1, channels, 3) for i in range(layers)
        )
        self.assign = SameConv(channels, clusters, 1)
        self.expect = SameConv(channels, clusters * atoms, 1)
        nn.init.zeros_(self.expect.weight)
        dictionary = cosines(SIDE * scale, atoms).float().repeat(clusters, 1)
        #: ``(clusters * atoms, (3 scale)**2)``.
        self.dictionary = nn.Parameter(dictionary)
        #: t, for each atom.
        self.threshold = nn.Parameter(torch.full((clusters * atoms, 1, 1), 0.2))
        #: Part of the image itself in b, for each atom.
        self.internal = nn.Parameter(torch.zeros(clusters * atoms, 1, 1))
        #: c, for each round.
        self.fidelity = nn.Parameter(torch.ones(rounds))

    @property
    def context(self) -> int:
        """LR pixels to each side on which an output pixel depends, at most."""
        # A patch reaches one pixel at both ends of coding, H and H' two each.
        agree = 2 * polyphase.REACH
        a_round = 1 + WINDOW + 1 + agree
        network = 1 + len(self.layers) + agree
        later = a_round * (len(self.fidelity) - 1)
        return max(network, a_round + polyphase.REACH) + later

    def cut(self, image: Tensor) -> Tensor:
        """Map ``(n, 1, s h, s w)`` to the patches about each LR pixel, ``(n, 9 s**2, h, w)``."""
        s = self.scale
        patches = F.unfold(replicate(image, s), SIDE * s, stride=s)
        return patches.view(*patches.shape[:2], image.shape[2] // s, image.shape[3] // s)

    def paste(self, patches: Tensor) -> Tensor:
        """Average where patches overlap: back from :meth:`cut`, less at the border."""
        s, (h, w) = self.scale, patches.shape[2:]
        size = (s * (h + SIDE - 1), s * (w + SIDE - 1))
        summed = F.fold(patches.flatten(2), size, kernel_size=SIDE * s, stride=s)
        return summed[..., s:-s, s:-s] / SIDE**2

    def similarities(self, lr: Tensor) -> Tensor:
        """Compare the 3x3 pixels about each LR pixel with those about its neighbours.

        Args:
            lr: ``(n, 1, h, w)``.

        Returns:
            ``(n, 24, h, w)``, adding up to 1.
        """
        wide = replicate(lr, WINDOW + 1)
        own = wide[..., WINDOW:-WINDOW, WINDOW:-WINDOW]
        differences = torch.cat([other - own for other in neighbours(wide)], dim=1)
        distances = F.avg_pool2d(differences.square(), 3, stride=1)
        return torch.softmax(-distances / ALIKE**2, dim=1)

    def forward(self, lr: Tensor) -> Tensor:
        """Map ``(n, 1, h, w)`` in [0, 1] to ``(n, 1, scale * h, scale * w)``, not clamped."""
        features = lr
        for layer in self.layers:
            features = F.relu(layer(features))
        parts = torch.softmax(self.assign(features), dim=1).repeat_interleave(self.atoms, dim=1)
        analyse = self.dictionary[:, :, None, None]
        synthesise = analyse.transpose(0, 1)
        similar = self.similarities(lr)
        sr: Tensor = self.upsample(lr)
        expected = F.conv2d(self.cut(sr), analyse) + self.expect(features)
        for fidelity in self.fidelity:
            patches = self.cut(sr)
            codes = F.conv2d(patches, analyse)
            mean = torch.zeros_like(patches)
            others = neighbours(replicate(patches, WINDOW))
            for weight, other in zip(torch.split(similar, 1, dim=1), others, strict=True):
                mean = mean + weight * other
            away = F.conv2d(mean, analyse) - expected
            change = expected + self.internal * away - codes
            change = torch.minimum(torch.maximum(change, -self.threshold), self.threshold)
            sr = sr + self.paste(F.conv2d(parts * change, synthesise))
            sr = sr + fidelity * self.upsample(lr - self.reduce(sr))
        return sr


def neighbours(wide: Tensor) -> list[Tensor]:
    """Shift ``(n, c, h + 4, w + 4)`` in 24 directions, ``(n, c, h, w)`` each."""
    around = 2 * WINDOW
    h, w = wide.shape[2] - around, wide.shape[3] - around
    shifts = [(y, x) for y in range(around + 1) for x in range(around + 1)]
    shifts.remove((WINDOW, WINDOW))
    return [wide[..., y : y + h, x : x + w] for y, x in shifts]
