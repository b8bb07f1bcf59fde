"""The mixed models CiDj and FCNN of the ablation (Cao, Yao, Liang 2020; Sec. 4.2.1, Table 4).

::

    bicubic(lr) --- i convolutions --- j deconvolutions ---(+)--- sr
         |                                                  |
         +--------------------------------------------------+

Stated there: i + j is the ten of FDNN; input and output have one size, with "same" padding, "as
VDSR did"; data and implementation as for FDNN. Read into it: kernels of 3x3 and the interpolated
image added to the output, as in VDSR; 64 filters, ELU and Glorot's initialisation (Eq. 25), as
in FDNN.

A deconvolution with stride 1 whose output is cropped to the size of its input *is* a
convolution, with the kernel's channels swapped and its taps mirrored, and Eq. 25 draws both
alike. All models of one length are therefore the same family of functions, started and trained
alike: what separates the rows CiDj in a repetition of Table 4 should be chance.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from fdnn.models.baselines.refiner import Refiner
from fdnn.models.layers.convolution import SameConv
from fdnn.models.layers.deconv import SameDeconv


class Mixed(Refiner):
    """Convolutions, then deconvolutions, all 3x3 with stride 1.

    Args:
        scale: Magnification.
        convolutions: i; with ``layers``, the model is called FCNN.
        layers: i + j, at least 2.
        channels: Filters of all layers but the last.

    Raises:
        ValueError: If the numbers do not fit.
    """

    def __init__(
        self, scale: int, convolutions: int = 10, layers: int = 10, channels: int = 64
    ) -> None:
        if not 0 <= convolutions <= layers or layers < 2:
            raise ValueError(
                f"convolutions must be 0 to layers, and layers at least 2, got {convolutions} "
                f"and {layers}"
            )
        super().__init__(scale)
        self.arguments |= {"convolutions": convolutions, "layers": layers, "channels": channels}
        self.convolutions = convolutions
        widths = [1, *[channels] * (layers - 1), 1]
        self.layers = nn.ModuleList(
            SameConv(a, b, 3) if i < convolutions else SameDeconv(a, b, 3, crop_before=1)
            for i, (a, b) in enumerate(pairwise(widths))
        )
        for layer in self.layers:
            nn.init.xavier_uniform_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    @property
    def title(self) -> str:
        """FCNN or CiDj, as in Table 4."""
        deconvolutions = len(self.layers) - self.convolutions
        return f"C{self.convolutions}D{deconvolutions}" if deconvolutions else "FCNN"

    @property
    def reach(self) -> int:
        """One pixel a layer."""
        return len(self.layers)

    def refine(self, image: Tensor) -> Tensor:
        """See :class:`Refiner`."""
        *layers, last = self.layers
        x = image
        for layer in layers:
            x = F.elu(layer(x))
        sr: Tensor = image + last(x)
        return sr
