"""RED30 (Mao, Shen, Yang: Restoration with encoder-decoder networks and skips, NIPS 2016).

::

    bicubic(lr) --- 15 convolutions 3x3, 128 --- 15 deconvolutions 3x3, 128 ---(+)--- sr
         |            after every second one -----> before the ReLU of its mirror |
         +----------------------------------------------------------------------+

Stride 1 and no pooling (Sec. 3.1 there); with 128 filters the 30 layers have 4,131,072 weights,
the number that later papers print for it. The feature maps behind convolutions 2, 4, ... 14 are
added to the output of deconvolutions 13, 11, ... 1, before their ReLU. He's initialisation.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from fdnn.models.baselines.refiner import Refiner
from fdnn.models.layers.convolution import SameConv
from fdnn.models.layers.deconv import SameDeconv


class RED30(Refiner):
    """Convolutions that encode, deconvolutions that decode, and skips between mirror images.

    Args:
        scale: Magnification.
        half: Convolutions, and as many deconvolutions.
        channels: Filters of all layers but the last.

    Raises:
        ValueError: If there are no layers, or no filters.
    """

    def __init__(self, scale: int, half: int = 15, channels: int = 128) -> None:
        if half < 1:
            raise ValueError(f"half must be at least 1, got {half}")
        super().__init__(scale)
        self.arguments |= {"half": half, "channels": channels}
        self.encode = nn.ModuleList(
            SameConv(1 if i == 0 else channels, channels, 3) for i in range(half)
        )
        self.decode = nn.ModuleList(
            SameDeconv(channels, 1 if i == half - 1 else channels, 3, crop_before=1)
            for i in range(half)
        )
        for layer in self.decode:
            # A deconvolution sums over as many inputs as the convolution it equals: fan out.
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    @property
    def reach(self) -> int:
        """One pixel a layer."""
        return len(self.encode) + len(self.decode)

    def refine(self, image: Tensor) -> Tensor:
        """See :class:`Refiner`."""
        x = image
        skips = []
        for i, layer in enumerate(self.encode, start=1):
            x = F.relu(layer(x))
            skips.append(x if i % 2 == 0 else None)
        # Behind deconvolution i lies the mirror image of what lies behind convolution half - i.
        for layer, skip in zip(self.decode, [*skips[-2::-1], None], strict=True):
            x = layer(x)
            x = F.relu(x if skip is None else x + skip) if layer is not self.decode[-1] else x
        sr: Tensor = image + x
        return sr
