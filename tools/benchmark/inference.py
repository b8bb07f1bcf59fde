"""Whole images: the literal network and every engine that is installed here."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch

from fdnn.inference.engines import Engine, compiler_works, with_engine
from fdnn.inference.tiles import TILE, full_float32, upscale_luma
from fdnn.models import FDNN, Network
from fdnn.models.literal import LiteralFDNN
from tools.benchmark.timing import Case, alternate, device, peak_memory, precisions

#: Width and height of the outputs, in pixels; LR sides are rounded up.
SIZES = ((256, 256), (512, 512), (1920, 1080))


def networks(scale: int) -> dict[str, Network]:
    """List an untrained FDNN's forms by the names that the table gives them."""
    torch.manual_seed(0)
    net = FDNN(scale, init="spread").to(device()).eval()
    engines: list[Engine] = ["eager"]
    if compiler_works(device()):
        engines.append("compile")
    if importlib.util.find_spec("openvino") and device().type == "cpu":
        engines.append("openvino")
    forms: dict[str, Network] = {"literal, fp32": LiteralFDNN(net).to(device())}
    for engine in engines:
        for precision in precisions():
            kind: Any = precision
            forms[f"{engine}, {precision}"] = with_engine(net, engine, kind)
    return forms


def images(scale: int, size: tuple[int, int], repeats: int) -> dict[str, dict[str, Any]]:
    """Time one image of a size through every form.

    The literal network takes the image whole, as a script would; ours go through
    :func:`fdnn.inference.tiles.upscale_luma` with its default tiles.

    Args:
        scale: Magnification.
        size: Width and height of the output.
        repeats: Measurements of each.

    Returns:
        By form: ``seconds`` (a :class:`~tools.benchmark.timing.Timing`), ``megapixels_per_s`` of
        output by the median, and ``peak_mib``.
    """
    width, height = (-(-side // scale) for side in size)
    lr = torch.rand(1, 1, height, width, device=device())
    cases: dict[str, Case] = {}
    for name, net in networks(scale).items():
        tile = max(height, width) if isinstance(net, LiteralFDNN) else TILE

        def case(net: Network = net, tile: int = tile) -> None:
            upscale_luma(net, lr, tile)

        cases[name] = case
    with full_float32(device()):
        timings = alternate(cases, repeats, least=0.1)
    pixels = width * height * scale**2
    return {
        name: {
            "seconds": timing._asdict(),
            "megapixels_per_s": pixels / 1e6 / timing.median,
            "peak_mib": peak_memory(cases[name]),
        }
        for name, timing in timings.items()
    }
