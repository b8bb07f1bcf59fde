"""One call that magnifies what you have: a Pillow image, a NumPy array, a torch tensor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fdnn.files.errors import UserError
from fdnn.images.pillow import Array, from_pillow, to_pillow
from fdnn.inference.device import pick_device
from fdnn.inference.pretrained import load
from fdnn.inference.tiles import TILE, upscale_pixels, upscale_planes
from fdnn.models import Network
from fdnn.models.ensemble import SelfEnsemble

#: Dtypes of pixels in arrays.
ARRAYS = ("uint8", "uint16", "float16", "float32", "float64")

Picture = TypeVar("Picture", Image.Image, Array, Tensor)


def upscale(
    image: Picture,
    net: Network | str | Path | None = None,
    *,
    scale: int | None = None,
    device: str | None = None,
    tile: int = TILE,
    self_ensemble: bool = False,
) -> Picture:
    """Magnify an image; the network works on luma, chroma and alpha are magnified by bicubic.

    Args:
        image: One of

            * a Pillow image: 8 bits, or 16-bit gray. Its EXIF orientation is applied;
              palette and CMYK become RGB as :func:`fdnn.images.pillow.to_array` says;
            * a NumPy array, ``(h, w)`` or ``(h, w, c)``, uint8, uint16, or floating point in
              [0, 1]; c = 1 (gray), 2 (gray + alpha), 3 (RGB) or 4 (RGB + alpha);
            * a torch tensor, ``(c, h, w)`` or ``(n, c, h, w)``, uint8, uint16, or floating point
              in [0, 1]; c as above.
        net: A network, or what :func:`fdnn.load` takes; default: FDNN. For many images, load it
            once. It runs in evaluation mode; its own mode is restored afterwards.
        scale: Magnification, 2, 3 or 4 with the default network (default: 3).
        device: Where a network given by name runs: ``auto``, ``cpu``, ``cuda`` or ``mps``.
            Default: the processor.
        tile: Side of the tiles in LR pixels that bound memory.
        self_ensemble: Average over the eight flips and turns of the image: eight times as
            slow, a little better.

    Returns:
        The magnified image: same kind, dtype, channels and device. A Pillow image keeps its
        colour profile, EXIF and DPI in ``info``. Floating-point results lie in [0, 1].

    Raises:
        TypeError: If ``image`` is of another kind or dtype.
        ValueError: If its shape or its range of values is another, or ``tile`` is not positive.
        UserError: If ``net`` cannot be loaded, or the Pillow image has a mode without a
            meaning in 8 or 16 bits, or 16 bits and a transparent gray.
    """
    if isinstance(image, Image.Image):
        check: Any = None
    elif isinstance(image, np.ndarray):
        check = _check_array
    elif isinstance(image, Tensor):
        check = _check_tensor
    else:
        raise TypeError(
            f"upscale takes a Pillow image, a NumPy array or a tensor, got {type(image).__name__}"
        )
    if check is not None:
        check(image)
    network = net if isinstance(net, Network) else load(net, scale)
    if scale is not None and network.scale != scale:
        raise UserError(f"the network is for x{network.scale}, scale={scale} was asked for")
    if device is not None and network is not net:  # a caller's own network stays where it is
        network = network.to(pick_device(device))
    with evaluating(network):
        return _upscaled(image, SelfEnsemble(network) if self_ensemble else network, tile)


def _upscaled(image: Picture, net: Network, tile: int) -> Picture:
    if isinstance(image, Image.Image):
        pixels, metadata = from_pillow(image)
        to_pillow(pixels[:1, :1])  # finds out whether it can be done
        return to_pillow(upscale_pixels(net, pixels, tile), metadata)
    if isinstance(image, np.ndarray):
        return upscale_pixels(net, image, tile).astype(image.dtype, copy=False)
    if image.dim() == 3:
        return upscale_planes(net, image, tile).contiguous()
    return torch.stack([upscale_planes(net, one, tile) for one in image]).contiguous()


@contextmanager
def evaluating(net: Network) -> Iterator[None]:
    """Lend a network in evaluation mode, so that batch normalisation does not see the image.

    Args:
        net: Any network; each of its modules has its own mode again afterwards.
    """
    before = {module: module.training for module in net.modules()}
    net.eval()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training


def _check_array(image: Array) -> None:
    if image.dtype.newbyteorder("=") not in ARRAYS:
        raise TypeError(f"an array of pixels is one of {' '.join(ARRAYS)}, got {image.dtype}")
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in {2, 3} or channels not in {1, 2, 3, 4} or 0 in image.shape:
        raise ValueError(f"an array is (h, w) or (h, w, 1 to 4), got {image.shape}")
    if np.issubdtype(image.dtype, np.floating):
        _check_range(float(image.min()), float(image.max()))


def _check_tensor(image: Tensor) -> None:
    if image.dtype not in (torch.uint8, torch.uint16) and not image.dtype.is_floating_point:
        raise TypeError(f"a tensor of pixels is uint8, uint16 or floating point, got {image.dtype}")
    if image.dim() not in {3, 4} or image.shape[-3] not in {1, 2, 3, 4} or 0 in image.shape:
        raise ValueError(
            f"a tensor is (1 to 4, h, w) or (n, 1 to 4, h, w), got {tuple(image.shape)}"
        )
    if image.dtype.is_floating_point:
        values = image.detach()
        _check_range(float(values.min()), float(values.max()))


def _check_range(low: float, high: float) -> None:
    if not (low >= -1e-3 and high <= 1 + 1e-3):  # NaN fails too
        raise ValueError(
            f"floating-point pixels lie in [0, 1], got {low:g} to {high:g}; "
            "divide by the peak, or convert to uint8"
        )
