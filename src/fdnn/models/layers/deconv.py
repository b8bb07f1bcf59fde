"""Deconvolution layers whose parameters are PyTorch's, computed in their cheapest equal form.

``nn.ConvTranspose2d`` scatters every input pixel over its neighbours, which runs at a
fraction of a convolution's speed. The two cases that the paper's networks need have no
need of scattering:

* stride 1: a convolution with the kernel's channels swapped and its taps mirrored;
* stride = kernel: no two input pixels overlap, so each output pixel is one matrix product
  with one input pixel; the rearrangement to the large image can wait until few channels
  are left.

Weights keep the shape ``(in, out, k, k)``, the initialisation interface and the state-dict
keys of ``nn.ConvTranspose2d``, and a literal network with the same weights gives the same
output.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: LR pixels that :func:`up_and_fuse` takes at once on the processor when nothing is trained.
STRIP = 2048


def glorot(net: nn.Module) -> None:
    """Draw the weights of all deconvolutions of a network by Eq. 25; their biases are 0."""
    for layer in net.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)


def check_channels(in_channels: int, out_channels: int) -> None:
    """Refuse a layer without input or output.

    Raises:
        ValueError: If a number of channels is not positive.
    """
    if min(in_channels, out_channels) < 1:
        raise ValueError(f"channels must be at least 1, got {in_channels} and {out_channels}")


class SameDeconv(nn.ConvTranspose2d):
    """Deconvolution with stride 1 whose output is cropped to the size of its input.

    The full output of a k x k kernel is k - 1 pixels larger (Eq. 10). An even k has no
    centre, so that the two sides lose unequal parts: ``crop_before`` says how many pixels
    go at the top and left, the rest goes at the bottom and right.

    Args:
        in_channels: Input feature maps.
        out_channels: Filters.
        kernel_size: k, at least 1.
        crop_before: For even k, ``(k - 1) // 2`` or ``k // 2``; for odd k ``(k - 1) // 2``.

    Raises:
        ValueError: If ``crop_before`` is none of these, or a number of channels not positive.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, crop_before: int
    ) -> None:
        if crop_before not in {(kernel_size - 1) // 2, kernel_size // 2}:
            raise ValueError(f"crop_before={crop_before} does not fit kernel_size={kernel_size}")
        check_channels(in_channels, out_channels)
        super().__init__(in_channels, out_channels, kernel_size)
        self.crop_before = crop_before

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: ARG002
        """Map ``(n, in, h, w)`` to ``(n, out, h, w)``."""
        k, after = self.kernel_size[0], self.crop_before
        kernel = self.weight.transpose(0, 1).flip(2, 3)
        before = k - 1 - after
        if before == after:
            return F.conv2d(x, kernel, self.bias, padding=before)
        return F.conv2d(F.pad(x, (before, after, before, after)), kernel, self.bias)


class UpDeconv(nn.ConvTranspose2d):
    """Deconvolution with stride = kernel = scale: the only one that maps w to scale * w exactly.

    Args:
        in_channels: Input feature maps.
        out_channels: Filters.
        scale: Kernel size and stride.

    Raises:
        ValueError: If a number of channels is not positive.
    """

    def __init__(self, in_channels: int, out_channels: int, scale: int) -> None:
        check_channels(in_channels, out_channels)
        super().__init__(in_channels, out_channels, scale, stride=scale)

    def per_lr_pixel(self, x: Tensor) -> Tensor:
        """Compute the output without rearranging it.

        Args:
            x: ``(n, in, h, w)``.

        Returns:
            ``(n, h, w, scale**2, out)``: for each input pixel its scale x scale block of
            output pixels, row by row.
        """
        assert self.bias is not None
        block = self.kernel_size[0] ** 2
        matrix = self.weight.permute(2, 3, 1, 0).reshape(-1, self.in_channels)
        bias = self.bias.repeat(block)
        if self.in_channels == 1:
            y: Tensor = _OuterProduct.apply(x[:, 0], matrix.flatten(), bias)  # type: ignore[no-untyped-call]
        else:
            y = F.conv2d(x, matrix[:, :, None, None], bias).permute(0, 2, 3, 1)
        return y.view(*y.shape[:3], block, self.out_channels)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: ARG002
        """Map ``(n, in, h, w)`` to ``(n, out, scale * h, scale * w)``."""
        blocks = self.per_lr_pixel(x)
        n, h, w = blocks.shape[:3]
        s = self.kernel_size[0]
        y = blocks.view(n, h, w, s, s, self.out_channels)
        return y.permute(0, 5, 1, 3, 2, 4).reshape(n, self.out_channels, h * s, w * s)


def fuse_blocks(blocks: Tensor, fusion: nn.ConvTranspose2d) -> Tensor:
    """Apply ELU and a 1x1 deconvolution to one channel, before the rearrangement.

    Args:
        blocks: ``(n, h, w, scale**2, channels)`` from :meth:`UpDeconv.per_lr_pixel`.
        fusion: A 1x1 deconvolution from ``channels`` to 1.

    Returns:
        ``(n, scale**2, h, w)``, ready for ``pixel_shuffle``.
    """
    assert fusion.bias is not None
    y: Tensor = _EluDot.apply(blocks, fusion.weight.flatten())  # type: ignore[no-untyped-call]
    return (y + fusion.bias).permute(0, 3, 1, 2)


def up_and_fuse(x: Tensor, up: UpDeconv, fusion: nn.ConvTranspose2d) -> Tensor:
    """Apply a deconvolution with stride = kernel, ELU and a 1x1 deconvolution to one channel.

    Args:
        x: ``(n, in, h, w)``.
        up: From ``in`` channels, with stride ``scale``.
        fusion: From the channels of ``up`` to 1.

    Returns:
        ``(n, scale**2, h, w)``, ready for ``pixel_shuffle``.
    """
    rows = x.shape[2]
    eager = not (torch.is_grad_enabled() or torch.compiler.is_compiling())
    if eager and x.device.type == "cpu":
        # scale**2 values of each channel stand for an LR pixel here: strips of few rows keep
        # them in the processor's cache, and memory small.
        rows = max(1, STRIP // (x.shape[0] * x.shape[3]))
    strips = torch.split(x, rows, dim=2)
    return torch.cat([fuse_blocks(up.per_lr_pixel(a), fusion) for a in strips], dim=2)


# The two products below are written with their gradients because what autograd derives sums
# over all pixels element by element, which takes a third of a compiled training step. As
# matrix products the same sums cost next to nothing.


class _EluDot(torch.autograd.Function):
    """ELU and the dot product of the last axis of ``z`` with ``weight``."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(z, weight)
        return (F.elu(z) * weight).sum(dim=-1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        z, weight = ctx.saved_tensors
        (grad,) = grads
        y = F.elu(z)
        grad_z = grad[..., None] * weight * torch.where(z > 0, 1, y + 1)
        grad_weight = grad.reshape(1, -1).to(y.dtype) @ y.reshape(-1, y.shape[-1])
        return grad_z.to(z.dtype), grad_weight[0].to(weight.dtype)


class _OuterProduct(torch.autograd.Function):
    """``x[..., None] * weight + bias``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return x[..., None] * weight + bias

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        (grad,) = grads
        v = x.reshape(-1)
        sums = torch.stack([v, torch.ones_like(v)]) @ grad.reshape(-1, len(weight))
        grad_x = grad @ weight if ctx.needs_input_grad[0] else None
        return grad_x, sums[0], sums[1]
