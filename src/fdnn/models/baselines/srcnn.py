"""SRCNN (Dong, Loy, He, Tang: Image super-resolution using deep convolutional networks, 2016).

::

    bicubic(lr) --- 9x9, 64, ReLU --- 5x5, 32, ReLU --- 5x5, 1 --- sr

The paper's 9-5-5 (its Sec. 4.3.2: 57,184 weights), the variant whose scores others print. As in
its published code, the border pixel is repeated beyond the border. Departure: He's
initialisation instead of a standard deviation of 0.001, with which its paper made 8 10^8 updates.
"""

from __future__ import annotations

from torch import Tensor, nn

from fdnn.models.baselines.refiner import Refiner
from fdnn.models.layers.convolution import SameConv


class SRCNN(Refiner):
    """Patch extraction, nonlinear mapping, reconstruction (Eqs. 1-3 there).

    Args:
        scale: Magnification.
        kernels: Sizes of the three kernels, odd.
        filters: Filters of the first two layers.
    """

    def __init__(
        self,
        scale: int,
        kernels: tuple[int, int, int] = (9, 5, 5),
        filters: tuple[int, int] = (64, 32),
    ) -> None:
        super().__init__(scale)
        self.arguments |= {"kernels": list(kernels), "filters": list(filters)}
        self.kernels = tuple(kernels)
        self.extract = SameConv(1, filters[0], kernels[0], "replicate")
        self.map = SameConv(filters[0], filters[1], kernels[1], "replicate")
        self.reconstruct = SameConv(filters[1], 1, kernels[2], "replicate")

    @property
    def reach(self) -> int:
        """Half of what the kernels cover together."""
        return sum(k // 2 for k in self.kernels)

    def refine(self, image: Tensor) -> Tensor:
        """See :class:`Refiner`."""
        x = nn.functional.relu(self.extract(image))
        x = nn.functional.relu(self.map(x))
        sr: Tensor = self.reconstruct(x)
        return sr
