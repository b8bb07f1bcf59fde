"""FSRCNN (Dong, Loy, Tang: Accelerating the super-resolution CNN, ECCV 2016).

::

    lr --- 5x5, d --- 1x1, s --- m times 3x3, s --- 1x1, d --- 9x9 deconvolution, stride N --- sr
           extract    shrink     map                 expand    upsample

A PReLU with one slope a channel follows every layer but the last (Sec. 3.2 there). FSRCNN(56,
12, 4) has 12,464 weights without slopes and biases (Table 1 there).

Two readings: the border pixel is repeated beyond the border, as SRCNN's code does; and the
deconvolution is placed so that its kernel stands over the middle of its LR pixel.
"""

from __future__ import annotations

from torch import Tensor, nn

from fdnn.models.layers.convolution import SameConv, replicate
from fdnn.models.network import Network

#: Kernel of the deconvolution.
KERNEL = 9


class FSRCNN(Network):
    """The hourglass at LR size and its deconvolution.

    Args:
        scale: N, the magnification.
        d: Filters that extract and expand.
        s: Filters that map.
        m: Mapping layers.

    Raises:
        ValueError: If there is no mapping layer.
    """

    def __init__(self, scale: int, d: int = 56, s: int = 12, m: int = 4) -> None:
        super().__init__(scale)
        if m < 1:
            raise ValueError(f"m must be at least 1, got {m}")
        self.arguments |= {"d": d, "s": s, "m": m}
        shapes = [(1, d, 5), (d, s, 1), *[(s, s, 3)] * m, (s, d, 1)]
        self.reach = sum(kernel // 2 for _, _, kernel in shapes)
        self.convolutions = nn.ModuleList(SameConv(*shape, "replicate") for shape in shapes)
        # He et al.'s PReLU starts with a slope of 0.25.
        self.slopes = nn.ModuleList(nn.PReLU(shape[1]) for shape in shapes)
        #: Output pixels of the kernel that lie before its LR pixel's own block.
        self.before = (KERNEL - scale + 1) // 2
        after = KERNEL - scale - self.before
        #: LR pixels on each side that an output pixel takes in.
        self.overlap = max((scale - 1 + self.before) // scale, (scale - 1 + after) // scale)
        self.upsample = nn.ConvTranspose2d(
            d,
            1,
            KERNEL,
            stride=scale,
            padding=self.before + self.overlap * scale,
            output_padding=self.before - after,
        )
        nn.init.normal_(self.upsample.weight, std=0.001)  # Sec. 4.1 there
        assert self.upsample.bias is not None
        nn.init.zeros_(self.upsample.bias)

    @property
    def context(self) -> int:
        """LR pixels to each side on which an output pixel depends, at most."""
        return self.reach + self.overlap

    def forward(self, lr: Tensor) -> Tensor:
        """Map ``(n, 1, h, w)`` in [0, 1] to ``(n, 1, scale * h, scale * w)``, not clamped."""
        x = lr
        for convolution, slope in zip(self.convolutions, self.slopes, strict=True):
            x = slope(convolution(x))
        sr: Tensor = self.upsample(replicate(x, self.overlap))
        return sr
