"""ESCN (Wang, Huang, Gong, Pan: Ensemble based deep networks for image super-resolution, 2017).

Several sparse-coding networks (SCN) and the mean of what they say::

    lr -- bicubic x2 -+- SCN 1 -+- mean --(+)-- and again until x4 or more -- bicubic down to sr
                      +-   :   -+          |
                      +- SCN 4 -+          |
                      +--------------------+

    SCN: image -- 5x5, 4 -- 5x5, 128, W -+- shrink -- 1x1, 128, S --(+)-- shrink -- 5x5, 1, D
                         / contrast      +---------------------------+              * contrast

Certain, from Cao, Yao, Liang 2020 (Sec. 4.2): it is an ensemble of sparse-coding networks.
Certain of SCN, from Wang, Liu, Yang, Han, Huang (Deep networks for image super-resolution with
sparse prior, ICCV 2015, Fig. 2) and the program that Zehao Huang published (huangzehao/SCN_Matlab):
a patch is described by 4 filters of 5x5 pixels, which look like first and second derivatives, at
its 25 pixels; the description, divided by its length, is coded over 128 atoms by learned iterative
shrinkage (LISTA) with one recurrent stage and a threshold for each atom,

    z_0 = shrink(W y),  z_1 = shrink(W y + S z_0),

z_1 over a second dictionary D is a patch of 5x5 pixels, whose contrast follows the input's;
overlapping patches are added up. One network magnifies by 2; larger scales are reached by applying
it again, and by bicubic shrinking.

Read into it: the ensemble has 4 networks that differ by their random initial weights, are trained
together, and count the same; the filters start as derivatives.

Departures. The paper's network adds its patches to a local mean and starts from dictionaries
learned by sparse coding; here they are added to the interpolated image, which is also where
training starts, and the contrast is the length of the description. The filters are kept free of a
mean (those of the published program sum to almost nothing): brightness and contrast of an image
pass through unchanged. The program brings a decoded patch to unit length before it takes on the
contrast, and weighs its pixels; here training decides its length, and patches add up evenly.
Losses of the images between the steps are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdnn.models.layers.convolution import replicate
from fdnn.models.layers.polyphase import PolyphaseBicubic
from fdnn.models.network import Network

#: Side of filters and patches.
SIDE = 5

#: First and second derivative (Yang, Wright, Huang, Ma 2010, Eq. 9).
DERIVATIVES = ((0.0, -1.0, 0.0, 1.0, 0.0), (1.0, 0.0, -2.0, 0.0, 1.0))


def shrink(x: Tensor, threshold: Tensor) -> Tensor:
    """Move every number towards 0 by ``threshold``, and those nearer than that to 0."""
    threshold = threshold.to(x.dtype)
    return x - torch.maximum(torch.minimum(x, threshold), -threshold)


class SCN(nn.Module):
    """One network of the ensemble; its layers hold what :func:`mean_detail` computes with.

    Args:
        atoms: Size of the dictionaries.
        stages: Recurrent stages.
    """

    #: Pixels to each side on which an output pixel depends.
    reach = 3 * (SIDE // 2)

    def __init__(self, atoms: int, stages: int) -> None:
        super().__init__()
        self.stages = stages
        self.describe = nn.Conv2d(1, 4, SIDE, bias=False)
        self.encode = nn.Conv2d(4, atoms, SIDE, bias=False)
        self.interact = nn.Conv2d(atoms, atoms, 1, bias=False)
        self.threshold = nn.Parameter(torch.full((atoms, 1, 1), 0.1))
        self.decode = nn.Conv2d(atoms, 1, SIDE, padding=SIDE // 2, bias=False)
        nn.init.zeros_(self.describe.weight)
        with torch.no_grad():
            for i, taps in enumerate(DERIVATIVES):
                self.describe.weight[i, 0, SIDE // 2] = torch.tensor(taps)
                self.describe.weight[i + 2, 0, :, SIDE // 2] = torch.tensor(taps)
        nn.init.kaiming_normal_(self.encode.weight)
        nn.init.zeros_(self.interact.weight)
        nn.init.zeros_(self.decode.weight)

    def forward(self, image: Tensor) -> Tensor:
        """Map ``(n, 1, h, w)`` to what it lacks, of the same size."""
        return mean_detail([self], image)


def mean_detail(members: Sequence[SCN], image: Tensor) -> Tensor:
    """Compute the mean over ``members`` of what an image lacks, side by side as groups of channels.

    Args:
        members: Networks with as many atoms and stages.
        image: ``(n, 1, h, w)``, values in [0, 1].

    Returns:
        ``(n, 1, h, w)``, to be added to it.
    """
    m, atoms = len(members), members[0].encode.out_channels
    filters = torch.cat([scn.describe.weight for scn in members])
    filters = filters - filters.mean(dim=(2, 3), keepdim=True)
    with torch.autocast(image.device.type, enabled=False):  # 1e-12 is 0 in float16
        maps = F.conv2d(replicate(image, 2 * (SIDE // 2)), filters)
        energy = torch.stack([one.sum(dim=1) for one in maps.square().chunk(m, dim=1)], dim=1)
        energy = F.avg_pool2d(energy, SIDE, stride=1) * SIDE**2
        contrast = (energy + 1e-12).sqrt()
    contrast = contrast.unsqueeze(2).expand(-1, -1, atoms, -1, -1).flatten(1, 2)
    encode = torch.cat([scn.encode.weight for scn in members])
    interact = torch.cat([scn.interact.weight for scn in members])
    threshold = torch.cat([scn.threshold for scn in members])
    # The same as to code the description divided by its length.
    likeness = F.conv2d(maps, encode, groups=m) / contrast
    code = shrink(likeness, threshold)
    for _ in range(members[0].stages):
        code = shrink(likeness + F.conv2d(code, interact, groups=m), threshold)
    # The 25 pixels of every patch, and then each pixel's sum over the 25 patches that it is part
    # of: several times faster than one convolution to a single channel.
    decode = torch.cat([scn.decode.weight for scn in members], dim=1)
    patches = F.conv2d(contrast * code, decode.flatten(2).permute(2, 1, 0).unsqueeze(3))
    place = torch.eye(SIDE**2, dtype=patches.dtype, device=patches.device)
    placed = F.conv2d(patches, place.view(1, -1, SIDE, SIDE), padding=SIDE // 2)
    return placed / (m * SIDE**2)


class ESCN(Network):
    """Sparse-coding networks whose results are averaged, applied until the image is large enough.

    Args:
        scale: Magnification.
        members: Networks in the ensemble.
        atoms: Size of their dictionaries.
        stages: Their recurrent stages.

    Raises:
        ValueError: If there are no members or atoms, or fewer than no stages.
    """

    def __init__(self, scale: int, members: int = 4, atoms: int = 128, stages: int = 1) -> None:
        super().__init__(scale)
        if min(members, atoms) < 1 or stages < 0:
            raise ValueError(
                f"members={members} and atoms={atoms} must be 1 or more, stages={stages} 0 or more"
            )
        self.arguments |= {"members": members, "atoms": atoms, "stages": stages}
        #: Times that the image is magnified by 2.
        self.steps = (scale - 1).bit_length()
        self.upsample = PolyphaseBicubic(1, 2)
        self.members = nn.ModuleList(SCN(atoms, stages) for _ in range(members))
        exact = 2**self.steps == scale
        self.reduce = nn.Identity() if exact else PolyphaseBicubic(1, scale, 2**self.steps)

    @property
    def context(self) -> int:
        """LR pixels to each side on which an output pixel depends, at most."""
        return max(-self._first(row) for row in range(self.scale))

    def _first(self, row: int) -> int:
        """Count the LR row nearest to the top on which an output row of LR row 0 depends."""
        large, small = 2**self.steps, self.scale
        if large > small:
            # Bicubic shrinking takes what is less than two output pixels away.
            row = ((2 * row - 3) * large - small) // (2 * small) + 1
        for _ in range(self.steps):
            # Of bicubic's four rows, those in the second half of a row have one more below.
            row = (row - SCN.reach + 1) // 2 - 2
        return row

    def forward(self, lr: Tensor) -> Tensor:
        """Map ``(n, 1, h, w)`` in [0, 1] to ``(n, 1, scale * h, scale * w)``, not clamped."""
        image, scns = lr, cast("list[SCN]", list(self.members))
        for _ in range(self.steps):
            image = self.upsample(image)
            # Together the members train faster; one by one they take a quarter of the memory.
            together = [scns] if self.training else [[scn] for scn in scns]
            details = [mean_detail(some, image) for some in together]
            image = image + torch.stack(details).mean(dim=0)
        sr: Tensor = self.reduce(image)
        return sr
