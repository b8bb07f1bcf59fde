"""What this machine can do at best with the work that the networks consist of."""

from __future__ import annotations

import torch

from fdnn.models import FDNN
from tools.benchmark.timing import alternate, device

#: Batch, height and width of the inputs that are tried; the best rate counts.
SHAPES = ((16, 24, 24), (4, 64, 64), (1, 160, 160), (1, 320, 320))


def convolution_rate(precision: torch.dtype, repeats: int) -> dict[str, float]:
    """Measure the best rate of a 64 -> 64 3x3 convolution.

    Args:
        precision: float32, bfloat16 or float16.
        repeats: Measurements of each shape.

    Returns:
        Floating-point operations a second, ``forward`` and ``both`` (forward + backward), two
        operations for a multiplication with its addition.
    """
    place = device()
    kernel = torch.nn.Conv2d(64, 64, 3, padding=1, device=place, dtype=precision)
    kernel = kernel.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    best = {"forward": 0.0, "both": 0.0}
    for n, h, w in SHAPES:
        x = torch.randn(n, 64, h, w, device=place, dtype=precision)
        x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
        gradient = torch.randn_like(x)

        def forward(x: torch.Tensor = x) -> None:
            with torch.inference_mode():
                kernel(x)

        def both(x: torch.Tensor = x, gradient: torch.Tensor = gradient) -> None:
            kernel(x).backward(gradient)

        work = 2 * 64 * 64 * 9 * n * h * w
        timings = alternate({"forward": forward, "both": both}, repeats, least=0.05)
        best["forward"] = max(best["forward"], work / timings["forward"].median)
        best["both"] = max(best["both"], 3 * work / timings["both"].median)
    return best


def operations(net: FDNN, lr_pixels: int) -> float:
    """Count the floating-point operations of a forward pass; its training step takes 3 times that.

    Args:
        net: The network.
        lr_pixels: Pixels of the input.
    """
    layers = net.restoration()
    products = 0
    for i, layer in enumerate(layers):
        size = net.scale**2 if i > net.upsample_at else 1
        products += size * layer.weight.numel()
    one_channel = net.enhance, net.residual.expand
    products += sum(layer.weight.numel() for layer in one_channel)
    products += net.scale**2 * (net.fuse.weight.numel() + net.residual.fuse.weight.numel())
    return 2.0 * products * lr_pixels
