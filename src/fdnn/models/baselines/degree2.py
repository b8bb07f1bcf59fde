"""DEGREE2 (Yang et al.: Deep edge guided recurrent residual learning, TIP 26(12), 2017).

::

    bicubic(lr), its edges --- input --- 8 x [3x3, 3x3 (+)] --- rect --- edge ---+--- rec --(+)-- sr
         |                               |             |          |              |           |
         |                               +-------------+          +--- beside ---+           |
         +-----------------------------------------------------------------------------------+

Certain, from the abstract and project page of that paper and from Cao, Yao, Liang 2020: 20
layers; interpolated image and its edge map go in together; a chain of residual steps with
by-passes recovers band after band of the detail; from the last features an edge map is predicted,
and features and edges together give what is added to the interpolated image.

Read into it: 3x3 kernels with 64 filters and ReLU; the edge map as the horizontal and the
vertical Sobel response; by-passes over two layers; 1 + 16 + 3 layers, none of which share
weights.

Departure: the paper also compares the predicted edges with those of the HR image in its loss;
training here sees the image alone, so that the edge layer is free to find what helps.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdnn.models.baselines.refiner import Refiner
from fdnn.models.layers.convolution import SameConv, replicate

#: Horizontal and vertical differences, smoothed across.
SOBEL = (
    ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0)),
    ((-1.0, -2.0, -1.0), (0.0, 0.0, 0.0), (1.0, 2.0, 1.0)),
)


class DEGREE2(Refiner):
    """Residual learning from an image and its edges.

    Args:
        scale: Magnification.
        steps: Pairs of layers with a by-pass.
        channels: Filters of all layers but those that predict edges and image.

    Raises:
        ValueError: If there is no step.
    """

    sobel: Tensor

    def __init__(self, scale: int, steps: int = 8, channels: int = 64) -> None:
        super().__init__(scale)
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        self.arguments |= {"steps": steps, "channels": channels}
        self.register_buffer("sobel", torch.tensor(SOBEL)[:, None], persistent=False)
        self.input = SameConv(1 + len(SOBEL), channels, 3)
        self.steps = nn.ModuleList(
            nn.ModuleList([SameConv(channels, channels, 3), SameConv(channels, channels, 3)])
            for _ in range(steps)
        )
        self.rect = SameConv(channels, channels, 3)
        self.edge = SameConv(channels, len(SOBEL), 3)
        self.rec = SameConv(channels + len(SOBEL), 1, 3)

    @property
    def reach(self) -> int:
        """One pixel a layer, and one for the edges."""
        return 1 + 1 + 2 * len(self.steps) + 3

    def edges(self, image: Tensor) -> Tensor:
        """Map ``(n, 1, H, W)`` to its Sobel responses ``(n, 2, H, W)``, flat beyond the border."""
        return F.conv2d(replicate(image, 1), self.sobel)

    def refine(self, image: Tensor) -> Tensor:
        """See :class:`Refiner`."""
        x = F.relu(self.input(torch.cat([image, self.edges(image)], dim=1)))
        for step in self.steps:
            first, second = cast(nn.ModuleList, step)
            x = x + F.relu(second(F.relu(first(x))))
        x = F.relu(self.rect(x))
        sr: Tensor = image + self.rec(torch.cat([x, self.edge(x)], dim=1))
        return sr
