"""What a network costs, whatever the machine: parameters, and multiply-adds per output pixel."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from fdnn.models import FDNN, Bicubic, Network
from fdnn.models.layers.polyphase import PolyphaseBicubic
from fdnn.models.literal import LiteralFDNN

#: Side of the LR image that is counted for; what padding adds is then below one percent.
SIDE = 256


def parameters(net: Network) -> int:
    """Count all trained numbers, biases and slopes included."""
    return sum(p.numel() for p in net.parameters())


def multiply_adds(net: Network, lr: Tensor | None = None) -> float:
    """Count the multiplications of convolutions and matrix products per output pixel.

    Activations and sums do not count; a network's bicubic interpolation does, as the 5x5
    convolution that :class:`fdnn.models.layers.polyphase.PolyphaseBicubic` makes of it. Not
    counted: the bicubic interpolation of A+ and ScSR, and the single-channel layers of
    FDNN deep.

    Args:
        net: Any network.
        lr: An image ``(1, 1, h, w)`` to magnify while counting, for A+ and ScSR: what they do
            depends on the content. Without it nothing is computed.
    """
    counted: nn.Module = net
    if isinstance(net, FDNN):
        # FDNN's own form hides its single-channel layers in products that are not counted.
        counted = LiteralFDNN(net)
    elif isinstance(net, Bicubic):
        counted = PolyphaseBicubic(1, net.scale)
    mode = FakeTensorMode(allow_non_fake_inputs=True) if lr is None else nullcontext()
    with torch.no_grad(), mode, FlopCounterMode(display=False) as counter:
        image = torch.empty(1, 1, SIDE, SIDE) if lr is None else lr
        counted(image)
    flops: int = counter.get_total_flops()
    return flops / 2 / (net.scale**2 * image.numel())
