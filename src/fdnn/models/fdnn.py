"""FDNN, the fully deconvolutional network (Cao, Yao, Liang 2020; Sec. 3.1, 4.1.5, Fig. 1).

::

    lr --- 1x1 --- [2x: 2x2 ...] [3x: 3x3 ...] ... --- 1x1 ---(+)--- sr
     |     enhance          restore                    fuse    |
     +--------- N x N, stride N ------------- 1x1 -------------+
                residual.expand               residual.fuse

What the paper leaves open, and how it is read here:

* **Where the size grows.** By Eq. 10 the only stated kernel that takes w exactly to N * w
  is N x N with stride N. All other layers therefore run with stride 1 and are cropped to
  the size of their input; ``upsample_at`` says which N x N layer of the restoration block
  has stride N. The default is the last, which keeps the rest at LR size.
* **Even kernels have no centre.** The side that loses the larger part alternates from one
  even layer to the next, so that the half-pixel shifts cancel in pairs.
* **Scale 2.** The paper names no layers for it, and prints no score. Its rule (Sec. 3.1.2) gives
  one sub-block of 2x2 kernels; eight of them would see eight LR pixels across, so that all but
  the last are 3x3 here.
* **The residual channel.** The text names its two layers. ELU between them is our choice.
  At scale 4 the paper states no layers; they are N x N with stride N as at scale 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdnn.models.layers.deconv import SameDeconv, UpDeconv, glorot, up_and_fuse
from fdnn.models.network import Network

#: Kernel sizes of the eight restoration layers by scale (Sec. 4.1.5; scale 2 is ours).
KERNELS = {
    2: (3, 3, 3, 3, 3, 3, 3, 2),
    3: (2, 2, 2, 3, 3, 3, 3, 3),
    4: (2, 2, 3, 3, 4, 4, 4, 4),
}

Init = Literal["glorot", "spread"]

#: Range of the first layer's weights, less their signs, by ``init="spread"``.
SLOPES = (6.0, 18.0)


class Enhancement(SameDeconv):
    """The first layer: a 1x1 deconvolution from brightness to features.

    Args:
        channels: Filters.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels, 1, crop_before=0)

    def spread(self) -> None:
        """Make each filter a steep ramp, up or down, that changes sign at a brightness of its own.

        A departure from the paper, see :meth:`FDNN.reset_parameters`.
        """
        with torch.no_grad():
            slopes = nn.init.uniform_(self.weight, *SLOPES)
            slopes *= torch.where(torch.rand_like(slopes) < 0.5, -1, 1)
            assert self.bias is not None
            self.bias.uniform_().mul_(-slopes.flatten())

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: ARG002
        """Map ``(n, 1, h, w)`` to ``(n, channels, h, w)``: a product with a vector."""
        assert self.bias is not None
        return x * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


class ResidualChannel(nn.Module):
    """The lower channel of Fig. 1: N x N deconvolution with stride N, ELU, 1x1 deconvolution.

    Args:
        scale: N.
        channels: Filters of the first layer.
    """

    def __init__(self, scale: int, channels: int) -> None:
        super().__init__()
        self.expand = UpDeconv(1, channels, scale)
        self.fuse = SameDeconv(channels, 1, 1, crop_before=0)

    def forward(self, lr: Tensor) -> Tensor:
        """Map ``(n, 1, h, w)`` to ``(n, scale**2, h, w)``, ready for ``pixel_shuffle``."""
        return up_and_fuse(lr, self.expand, self.fuse)


class FDNN(Network):
    """Ten deconvolution layers and a residual channel.

    Args:
        scale: N, the magnification: 2, 3 or 4, or any if ``kernels`` are given.
        channels: Filters of every layer but the last of each channel (paper: 64).
        kernels: Kernel sizes of the restoration layers; default: the paper's for the scale.
            Equal ones stand side by side, and one must equal ``scale``.
        upsample_at: Index in ``kernels`` of the layer with stride ``scale``; negative counts
            from the end.
        init: ``"glorot"`` (Eq. 25), or ``"spread"``, see :meth:`FDNN.reset_parameters`.

    Raises:
        ValueError: If ``scale`` needs ``kernels``, equal kernels are apart, or the layer at
            ``upsample_at`` does not exist or is not scale x scale.
    """

    def __init__(
        self,
        scale: int,
        channels: int = 64,
        kernels: Sequence[int] | None = None,
        upsample_at: int = -1,
        init: Init = "glorot",
    ) -> None:
        super().__init__(scale)
        if kernels is None:
            if scale not in KERNELS:
                raise ValueError(f"scale must be one of {sorted(KERNELS)}, got {scale}")
            kernels = KERNELS[scale]
        self.kernels = tuple(kernels)
        count = len(self.kernels)
        if not -count <= upsample_at < count or self.kernels[upsample_at] != scale:
            raise ValueError(
                f"upsample_at={upsample_at} must name a layer with a {scale}x{scale} kernel, "
                f"kernels are {list(self.kernels)}"
            )
        self.upsample_at = upsample_at % count
        self.arguments |= {
            "channels": channels,
            "kernels": list(self.kernels),
            "upsample_at": self.upsample_at,
        }

        self.enhance = Enhancement(channels)
        self.restore = nn.ModuleDict()
        evens = 0
        for i, k in enumerate(self.kernels):
            if f"{k}x" not in self.restore:
                self.restore[f"{k}x"] = nn.ModuleList()
            elif self.kernels[i - 1] != k:
                raise ValueError(f"equal kernels must stand side by side, got {self.kernels}")
            layer: UpDeconv | SameDeconv
            if i == self.upsample_at:
                layer = UpDeconv(channels, channels, scale)
            elif k % 2:
                layer = SameDeconv(channels, channels, k, crop_before=k // 2)
            else:
                layer = SameDeconv(channels, channels, k, crop_before=(k - 1) // 2 + evens % 2)
                evens += 1
            cast(nn.ModuleList, self.restore[f"{k}x"]).append(layer)
        self.fuse = SameDeconv(channels, 1, 1, crop_before=0)
        self.residual = ResidualChannel(scale, channels)
        self.reset_parameters(init)

    def reset_parameters(self, init: Init = "glorot") -> None:
        """Draw new weights.

        By Eq. 25 and with biases of zero, brightness in [0, 1] reaches the first ELU with so
        little contrast, and so close to its kink, that the early layers start out, and remain,
        almost linear. ``"spread"``, a departure from the paper, gives ELU something to bend:

        * each filter of the first layer is a steep ramp, up or down, that changes sign at a
          brightness of its own;
        * the kernels with stride 1 are half of Eq. 25 plus the identity at their centre, so
          that a signal passes the untrained layers unharmed;
        * the fusion starts at a tenth of Eq. 25, to leave the first word to the residual channel.

        Args:
            init: ``"glorot"`` or ``"spread"``.

        Raises:
            ValueError: If it is neither.
        """
        if init not in ("glorot", "spread"):
            raise ValueError(f"init must be glorot or spread, got {init!r}")
        glorot(self)
        if init == "glorot":
            return
        with torch.no_grad():
            self.enhance.spread()
            for layer in self.restoration():
                if isinstance(layer, SameDeconv):
                    centre = layer.crop_before
                    layer.weight *= 0.5
                    layer.weight[:, :, centre, centre] += torch.eye(layer.in_channels)
            self.fuse.weight *= 0.1

    @property
    def context(self) -> int:
        """LR pixels to each side on which an output pixel depends, at most."""
        at_lr_size = sum(k // 2 for k in self.kernels[: self.upsample_at])
        at_hr_size = sum(k // 2 for k in self.kernels[self.upsample_at + 1 :])
        return at_lr_size + math.ceil(at_hr_size / self.scale)

    def restoration(self) -> list[UpDeconv | SameDeconv]:
        """List the layers of the multi-scale feature restoration, in order."""
        blocks = cast("Iterable[Iterable[UpDeconv | SameDeconv]]", self.restore.values())
        return [layer for block in blocks for layer in block]

    def forward(self, lr: Tensor) -> Tensor:
        """Magnify (Eq. 16).

        Args:
            lr: ``(n, 1, h, w)`` in [0, 1].

        Returns:
            ``(n, 1, scale * h, scale * w)``, nominally in [0, 1], not clamped.
        """
        x = F.elu(self.enhance(lr))
        *layers, last = self.restoration()
        for layer in layers:
            x = F.elu(layer(x))
        if not isinstance(last, UpDeconv):
            fused: Tensor = self.fuse(F.elu(last(x)))
            return fused + F.pixel_shuffle(self.residual(lr), self.scale)
        blocks = up_and_fuse(x, last, self.fuse) + self.residual(lr)
        return F.pixel_shuffle(blocks, self.scale)
