"""MSDEPC (Liu, Fu, Han, Shao, Hou, Chu: SISR using multi-scale deep encoder-decoder with PC, 2019).

::

    bicubic(lr),  -- 2 conv -+- 2 deconv -- conv --(+)--+
    its edges                |                          |
                             +- 2 conv -+- 4 deconv -- conv --(+)--+-- conv -- sr
                                        |                          |
                                        +- 2 conv -- 6 deconv -- conv --(+)--+

Certain, from Cao, Yao, Liang 2020 (Sec. 2) and the program that its authors published
(hengliusky/Muti-scale_SuperResolution): interpolated image and phase-congruency edges go in
together; encoders of 2, 4 and 6 convolutions, each the beginning of the next, and decoders of as
many deconvolutions see the image at three scales; 3x3 kernels, 32 filters, but 64 in convolutions
5 and 6 and the first two deconvolutions behind them; batch normalisation and PReLU behind every
layer; a convolution makes one map of detail (the paper calls it edges) of each decoder's features,
which starts at zero and is added to the interpolated image ((+) above); a last convolution makes
one image of the three. 259,515 weights in 22 layers.

Cao, Yao, Liang 2020 count 24 layers; the published program has 23. The one that is missing here
makes an edge map of the three maps of detail, for the second part of the paper's loss (0.15 times
its squared difference to the edges of the HR image); training here sees the image alone.

Other departures: the image keeps its size in every layer, with zeros beyond the border (the paper
loses a border in each convolution, and regains it in the deconvolution); the last convolution
starts as a mean; batch normalisation also shifts, which stands for the layers' biases; of phase
congruency, see :mod:`fdnn.models.layers.phase`.

Batch normalisation takes its statistics from the pairs that one process sees in one accumulated
part: unlike that of other networks, training depends on how a batch is shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from fdnn.models.baselines.refiner import Refiner
from fdnn.models.layers import phase
from fdnn.models.layers.convolution import SameConv
from fdnn.models.layers.deconv import SameDeconv


def chain(widths: Sequence[int], decode: bool) -> nn.Sequential:
    """Join 3x3 layers with batch normalisation and PReLU.

    Args:
        widths: Input channels of the first layer, then the filters of each.
        decode: Whether they are deconvolutions.
    """
    modules: list[nn.Module] = []
    for a, b in pairwise(widths):
        layer = SameDeconv(a, b, 3, crop_before=1) if decode else SameConv(a, b, 3)
        # A deconvolution sums over as many inputs as the convolution it equals: fan out.
        mode = "fan_out" if decode else "fan_in"
        nn.init.kaiming_normal_(layer.weight, mode=mode, nonlinearity="relu")  # type: ignore[arg-type]
        layer.bias = None  # batch normalisation would take it away again
        modules += [layer, nn.BatchNorm2d(b), nn.PReLU(b)]
    return nn.Sequential(*modules)


class MSDEPC(Refiner):
    """Encoders and decoders of three depths, guided by edges.

    Args:
        scale: Magnification.
        channels: Filters of most layers; the deepest have twice as many.
    """

    def __init__(self, scale: int, channels: int = 32) -> None:
        super().__init__(scale)
        self.arguments |= {"channels": channels}
        c, d = channels, 2 * channels
        self.edges = phase.PhaseCongruency()
        self.encode = nn.ModuleList(
            chain(widths, decode=False) for widths in ([2, c, c], [c, c, c], [c, d, d])
        )
        self.decode = nn.ModuleList(
            chain(widths, decode=True)
            for widths in ([c, c, c], [c, c, c, c, c], [d, d, d, c, c, c, c])
        )
        self.detail = nn.ModuleList(SameConv(c, 1, 3) for _ in range(3))
        self.merge = SameConv(3, 1, 3)
        for layer in self.detail:
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.merge.weight)
        with torch.no_grad():
            self.merge.weight[:, :, 1, 1] = 1 / 3

    @property
    def reach(self) -> int:
        """One pixel a layer on the deepest way, and the edges' filters."""
        return phase.REACH + 6 + 6 + 1 + 1

    def refine(self, image: Tensor) -> Tensor:
        """See :class:`Refiner`."""
        x = torch.cat([image, self.edges(image)], dim=1)
        images = []
        for encode, decode, detail in zip(self.encode, self.decode, self.detail, strict=True):
            x = encode(x)
            images.append(image + detail(decode(x)))
        sr: Tensor = self.merge(torch.cat(images, dim=1))
        return sr
