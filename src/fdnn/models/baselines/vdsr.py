"""VDSR (Kim, Lee, Lee: Super-resolution using very deep networks, CVPR 2016).

::

    bicubic(lr) --- 3x3, 64, ReLU --- 18 times 3x3, 64, ReLU --- 3x3, 1 ---(+)--- sr
         |                                                                  |
         +------------------------------------------------------------------+

Twenty layers with zeros beyond the border (Sec. 3.1 there), He's initialisation (Sec. 5.2), one
network for x2, x3 and x4 (Sec. 3.2 and 4.3). With ten layers it is the VDSR10 of Table 1 of
Cao, Yao, Liang 2020.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from fdnn.models.baselines.refiner import Refiner
from fdnn.models.layers.convolution import SameConv


class VDSR(Refiner):
    """A stack of 3x3 convolutions that predicts what bicubic interpolation misses.

    ``scale`` decides the interpolation alone: the same weights serve every scale, all the more
    if they were trained on all (``data.train_scales``).

    Args:
        scale: Magnification.
        layers: Convolutions, at least 2.
        channels: Filters of all layers but the last.

    Raises:
        ValueError: If there are fewer than two layers.
    """

    any_scale = True

    def __init__(self, scale: int, layers: int = 20, channels: int = 64) -> None:
        if layers < 2:
            raise ValueError(f"layers must be at least 2, got {layers}")
        super().__init__(scale)
        self.arguments |= {"layers": layers, "channels": channels}
        widths = [1, *[channels] * (layers - 1), 1]
        self.layers = nn.ModuleList(SameConv(a, b, 3) for a, b in pairwise(widths))

    @property
    def title(self) -> str:
        """VDSR, or VDSR10 and the like where the number of layers is another."""
        return "VDSR" if len(self.layers) == 20 else f"VDSR{len(self.layers)}"

    @property
    def reach(self) -> int:
        """One pixel a layer."""
        return len(self.layers)

    def refine(self, image: Tensor) -> Tensor:
        """See :class:`Refiner`."""
        *layers, last = self.layers
        x = image
        for layer in layers:
            x = nn.functional.relu(layer(x))
        sr: Tensor = image + last(x)
        return sr

    def at(self, scale: int) -> VDSR:
        """Make a network for another scale that shares this one's parameters."""
        if scale == self.scale:
            return self
        other = VDSR(**self.arguments | {"scale": scale})
        other.upsample.to(self.upsample.kernel.device)
        other.layers = self.layers
        return other.train(self.training)
