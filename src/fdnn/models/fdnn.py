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
* **Scale 2** is not in the paper. Its rule gives one sub-block of 2x2 kernels; eight of
  them would see nine LR pixels across, so that all but the last are 3x3 here.
* **The residual channel at scale 4** is not stated; N x N with stride N as at scale 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from fdnn.models.deconv import SameDeconv, UpDeconv, fuse_blocks

#: Kernel sizes of the eight restoration layers by scale (Sec. 4.1.5; scale 2 is ours).
KERNELS = {
    2: (3, 3, 3, 3, 3, 3, 3, 2),
    3: (2, 2, 2, 3, 3, 3, 3, 3),
    4: (2, 2, 3, 3, 4, 4, 4, 4),
}


class FDNN(nn.Module):
    """Ten deconvolution layers and a residual channel.

    Args:
        scale: N, the magnification: 2, 3 or 4, or any above 1 if ``kernels`` are given.
        channels: Filters of every layer but the last of each channel (paper: 64).
        kernels: Kernel sizes of the restoration layers; default: the paper's for the scale.
            At least one must equal ``scale``.
        upsample_at: Index in ``kernels`` of the layer with stride ``scale``; negative counts
            from the end.

    Raises:
        ValueError: If ``scale`` needs ``kernels``, or the layer at ``upsample_at`` does not
            exist or is not scale x scale.
    """

    def __init__(
        self,
        scale: int,
        channels: int = 64,
        kernels: Sequence[int] | None = None,
        upsample_at: int = -1,
    ) -> None:
        super().__init__()
        if kernels is None:
            if scale not in KERNELS:
                raise ValueError(f"scale must be one of {sorted(KERNELS)}, got {scale}")
            kernels = KERNELS[scale]
        kernels = tuple(kernels)
        if not -len(kernels) <= upsample_at < len(kernels) or kernels[upsample_at] != scale:
            raise ValueError(
                f"upsample_at={upsample_at} must name a layer with a {scale}x{scale} kernel, "
                f"kernels are {list(kernels)}"
            )
        self.scale = scale
        self.channels = channels
        self.kernels = kernels
        self.upsample_at = upsample_at % len(kernels)
        self.arguments = {
            "scale": scale,
            "channels": channels,
            "kernels": list(kernels),
            "upsample_at": self.upsample_at,
        }

        self.enhance = SameDeconv(1, channels, 1, crop_before=0)
        self.restore = nn.ModuleDict()
        evens = 0
        for i, k in enumerate(kernels):
            layer: nn.ConvTranspose2d
            if i == self.upsample_at:
                layer = UpDeconv(channels, channels, scale)
            else:
                crop_before = (k - 1) // 2
                if k % 2 == 0:
                    crop_before += evens % 2
                    evens += 1
                layer = SameDeconv(channels, channels, k, crop_before)
            block = f"{k}x"
            if block not in self.restore:
                self.restore[block] = nn.ModuleList()
            elif kernels[i - 1] != k:
                raise ValueError(f"equal kernels must stand side by side, got {list(kernels)}")
            self.restore[block].append(layer)
        self.fuse = SameDeconv(channels, 1, 1, crop_before=0)
        self.residual = nn.ModuleDict(
            {
                "expand": UpDeconv(1, channels, scale),
                "fuse": SameDeconv(channels, 1, 1, crop_before=0),
            }
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw Glorot-uniform weights (Eq. 25) and set biases to zero."""
        for layer in self.deconvolutions():
            nn.init.xavier_uniform_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    @property
    def context(self) -> int:
        """LR pixels to each side on which an output pixel depends, at most."""
        at_lr_size = sum(k // 2 for k in self.kernels[: self.upsample_at])
        at_hr_size = sum(k // 2 for k in self.kernels[self.upsample_at + 1 :])
        return at_lr_size + math.ceil(at_hr_size / self.scale)

    def deconvolutions(self) -> list[nn.ConvTranspose2d]:
        """List all layers, top channel first, in the order of the data."""
        return [m for m in self.modules() if isinstance(m, nn.ConvTranspose2d)]

    def forward(self, lr: Tensor) -> Tensor:
        """Magnify luma images.

        Args:
            lr: ``(n, 1, h, w)`` in [0, 1].

        Returns:
            ``(n, 1, scale * h, scale * w)``, nominally in [0, 1], not clamped (Eq. 16).
        """
        # One input channel: the 1x1 deconvolution is a product with a vector.
        enhance = self.enhance
        assert enhance.bias is not None
        x = lr * enhance.weight.view(1, -1, 1, 1) + enhance.bias.view(1, -1, 1, 1)
        x = F.elu(x)
        layers = [layer for block in self.restore.values() for layer in block]
        for layer in layers[:-1]:
            x = F.elu(layer(x))
        residual = fuse_blocks(self.residual["expand"].per_lr_pixel(lr), self.residual["fuse"])
        if self.upsample_at == len(layers) - 1:
            top = fuse_blocks(layers[-1].per_lr_pixel(x), self.fuse)
            return F.pixel_shuffle(top + residual, self.scale)
        top = self.fuse(F.elu(layers[-1](x)))
        return top + F.pixel_shuffle(residual, self.scale)
