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

from torch import Tensor, nn
from torch.nn import functional as F


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
        ValueError: If ``crop_before`` is none of these.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, crop_before: int
    ) -> None:
        if crop_before not in {(kernel_size - 1) // 2, kernel_size // 2}:
            raise ValueError(f"crop_before={crop_before} does not fit kernel_size={kernel_size}")
        super().__init__(in_channels, out_channels, kernel_size)
        self.crop_before = crop_before

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: ARG002
        """Map ``(n, in, h, w)`` to ``(n, out, h, w)``."""
        k = self.kernel_size[0]
        kernel = self.weight.transpose(0, 1).flip(2, 3)
        # Output pixel i of this convolution is pixel i + (k - 1) // 2 of the full output;
        # an even kernel yields one pixel more than asked for.
        y = F.conv2d(x, kernel, self.bias, padding=k // 2)
        if k % 2:
            return y
        start = self.crop_before - (k - 1) // 2
        height, width = x.shape[-2:]
        return y[..., start : start + height, start : start + width]


class UpDeconv(nn.ConvTranspose2d):
    """Deconvolution with stride = kernel = scale: the only one that maps w to scale * w exactly.

    Args:
        in_channels: Input feature maps.
        out_channels: Filters.
        scale: Kernel size and stride.
    """

    def __init__(self, in_channels: int, out_channels: int, scale: int) -> None:
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
        pixels = x.permute(0, 2, 3, 1)
        matrix = self.weight.permute(2, 3, 1, 0).reshape(-1, self.in_channels)
        block = self.kernel_size[0] ** 2
        if self.in_channels == 1:
            y = pixels * matrix[:, 0] + self.bias.repeat(block)
        else:
            y = F.linear(pixels, matrix, self.bias.repeat(block))
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
    weight = fusion.weight[:, 0, 0, 0]
    y = (F.elu(blocks) * weight).sum(dim=-1) + fusion.bias
    return y.permute(0, 3, 1, 2)
