"""What trained systems cost, side by side on this machine: size, multiply-adds, time.

    python -m tools.benchmark.zoo checkpoints/*_x3 --output docs/runs/zoo_speed

Each magnifies one photograph to about a megapixel, as ``predict`` does by default: float32, eager,
in tiles. All take turns in one process; the median counts. Leave the machine alone meanwhile.
DRCN needs minutes a turn on two processor cores.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from fdnn.data.sets import find_set
from fdnn.evaluation.metrics import PEAK
from fdnn.files.atomic import replacing
from fdnn.files.digest import sha256
from fdnn.files.errors import one_line
from fdnn.files.provenance import SPEED_NAME, hardware, versions
from fdnn.images.io import read_image
from fdnn.images.luma import luma
from fdnn.inference.tiles import full_float32, upscale_luma
from fdnn.models.cost import multiply_adds, parameters
from fdnn.models.weights import find_weights, load
from tools.benchmark.timing import Case, alternate, device

#: Side of the magnified image in pixels, less what the scale does not divide.
SIDE = 1000


def photograph(scale: int, side: int = SIDE) -> Tensor:
    """Cut the LR image out of scikit-image's camera man: content as it is, at any scale.

    Args:
        scale: Magnification.
        side: Of the magnified image in pixels, at most 512 times the scale.

    Returns:
        ``(1, 1, side // scale, side // scale)`` in [0, 1].
    """
    (path,) = (path for path in find_set("sample-test").paths if path.stem == "camera")
    cut = torch.from_numpy(luma(read_image(path))[: side // scale, : side // scale])
    return (cut.float() / PEAK)[None, None]


def measure(folders: Mapping[str, Path], repeats: int, side: int = SIDE) -> dict[str, Any]:
    """Count and time systems.

    Args:
        folders: Name -> weights, see :func:`fdnn.models.weights.find_weights`.
        repeats: Turns of each.
        side: See :func:`photograph`.

    Returns:
        What ``speed.json`` holds.

    Raises:
        UserError: If weights cannot be read.
    """
    nets = {name: load(folder) for name, folder in folders.items()}
    systems: dict[str, dict[str, Any]] = {}
    cases: dict[str, Case] = {}
    for name, net in nets.items():
        lr = photograph(net.scale, side)
        systems[name] = {
            "model": net.title,
            "scale": net.scale,
            "weights_sha256": sha256(find_weights(folders[name])),
            "parameters": parameters(net),
            # What A+ and ScSR do depends on the image.
            "multiply_adds": multiply_adds(net, lr if net.fitted_by else None),
        }
        ready = net.to(device(), memory_format=torch.channels_last)  # type: ignore[call-overload]
        cases[name] = partial(upscale_luma, ready, lr.to(device()))
    with full_float32(device()):
        timings = alternate(cases, repeats)
    for name, timing in timings.items():
        scale = systems[name]["scale"]
        megapixels = (side // scale * scale) ** 2 / 1e6
        systems[name]["seconds_per_megapixel"] = {
            key: seconds / megapixels for key, seconds in timing._asdict().items()
        }
    return {
        "hardware": hardware(),
        "versions": versions(),
        "engine": "eager, fp32",
        "image": f"camera of scikit-image, cut to {side} / scale pixels a side",
        "repeats": repeats,
        "systems": systems,
    }


def show(result: Mapping[str, Any]) -> None:
    """Print what was measured."""
    table = Table(title=f"{result['engine']}, {result['hardware']}", title_justify="left")
    for column in ("", "parameters", "multiply-adds per pixel", "seconds per megapixel"):
        table.add_column(column, justify="right" if column else "left")
    for name, row in result["systems"].items():
        time = row["seconds_per_megapixel"]
        spread = f"{time['median']:.3f} ({time['low']:.3f} to {time['high']:.3f})"
        table.add_row(name, f"{row['parameters']:,}", f"{row['multiply_adds']:,.0f}", spread)
    Console(width=120).print(table)


@one_line
def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmark.zoo", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("weights", type=Path, nargs="+", help="folders of weights")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help=f"write {SPEED_NAME} there")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each system")
    parser.add_argument("--side", type=int, default=SIDE, help="of the magnified image in pixels")
    options = parser.parse_args(args)
    folders = {path.resolve().name: path for path in options.weights}
    if len(folders) < len(options.weights):
        parser.error("two of the folders have the same name")
    if options.repeats < 1 or not 16 <= options.side <= 1024:
        parser.error("--repeats must be at least 1, --side 16 to 1024")
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
    result = measure(folders, options.repeats, options.side)
    show(result)
    if options.output:
        with replacing(options.output / SPEED_NAME) as temporary:
            temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"written to {options.output / SPEED_NAME}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
