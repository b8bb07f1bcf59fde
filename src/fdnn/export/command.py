"""Export trained weights to ONNX, or to PyTorch's .pt2, for images of any size.

    fdnn export checkpoints/fdnn_x3 --output fdnn_x3.onnx --graph rgb --check Set5

The file is compared with the network in PyTorch before it takes its place; see
docs/deploy.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import torch
from torch.export import Dim, ExportedProgram

from fdnn.data.sets import ImageSet, find_set
from fdnn.export import parity
from fdnn.export.graphs import Graph, Precision, build
from fdnn.files.atomic import replacing
from fdnn.files.digest import sha256
from fdnn.files.errors import UserError, first_line, one_line
from fdnn.models import FDNN, Network
from fdnn.models.layers.polyphase import REACH
from fdnn.models.weights import describe, find_weights, load

FORMATS = ("onnx", "pt2")
#: ONNX operator set: old enough for runtimes since 2023, and what PyTorch's exporter speaks.
OPSET = 18
#: Axes of the input that may have any length.
SIZES = {0: Dim("batch", min=1), 2: Dim("height", min=1), 3: Dim("width", min=1)}
#: Packages of the extra ``fdnn[export]``.
EXTRA = ("onnx", "onnxruntime", "onnxscript")
#: Difference between exported file and PyTorch that passes, for values in [0, 1]: of fp32 the
#: largest of all values, of fp16 an image's root mean square. Half precision is some grey levels
#: off at single pixels, where activations are large, and right on the whole; a wrong file is not.
TOLERANCE: dict[Precision, float] = {"fp32": 1e-4, "fp16": 2e-3}
#: Name of the metadata inside a .pt2 file.
PT2_METADATA = "fdnn.json"


def metadata(net: FDNN, weights: Path, graph: Graph, precision: Precision) -> dict[str, str]:
    """Say what a file holds; the values are text, as ONNX wants them.

    Args:
        net: The network.
        weights: The file it came from.
        graph: See :func:`fdnn.export.graphs.build`.
        precision: Likewise.
    """
    channels, scale = {"luma": 1, "rgb": 3}[graph], net.scale
    content = {"luma": "BT.601 studio-range luma / 255", "rgb": "RGB"}[graph]
    limits = {"luma": "not clamped", "rgb": "clamped to [0, 1]"}[graph]
    return {
        "network": json.dumps(describe(net)),
        "graph": graph,
        "precision": precision,
        "scale": str(scale),
        # Overlap of tiles in LR pixels.
        "context": str(max(net.context, REACH) if graph == "rgb" else net.context),
        "weights_sha256": sha256(weights),
        "input": f"lr (n, {channels}, h, w) float32, {content} in [0, 1]",
        "output": f"sr (n, {channels}, {scale} * h, {scale} * w) float32, {content}, {limits}",
    }


def _program(net: FDNN, graph: Graph, precision: Precision) -> ExportedProgram:
    example = torch.rand(2, {"luma": 1, "rgb": 3}[graph], 7, 5)
    module = build(net, graph, precision)
    with torch.no_grad(), _quiet():
        return torch.export.export(module, (example,), dynamic_shapes={"lr": SIZES})


def write_onnx(
    net: FDNN, file: Path, about: dict[str, str], graph: Graph, precision: Precision = "fp32"
) -> None:
    """Write ONNX with the input ``lr`` and the output ``sr``, any batch, height and width.

    Args:
        net: A trained network, on the CPU.
        file: To write; needs the extra ``fdnn[export]``.
        about: Goes into the file, see :func:`metadata`.
        graph: See :func:`fdnn.export.graphs.build`.
        precision: Likewise.

    Raises:
        ValueError: If ``net`` upsamples before its last restoration layer.
    """
    import onnx

    program = _program(net, graph, precision)
    with _quiet():
        exported = torch.onnx.export(
            program,
            dynamo=True,
            input_names=["lr"],
            output_names=["sr"],
            dynamic_shapes={"lr": SIZES},
            opset_version=OPSET,
            verbose=False,
        )
    assert exported is not None
    model = exported.model_proto
    # The exporter notes which lines of which files each node came from.
    values = [*model.graph.value_info, *model.graph.input, *model.graph.output]
    for part in (model.graph, *model.graph.node, *model.graph.initializer, *values):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    onnx.helper.set_model_props(model, about)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, file)


def write_pt2(
    net: FDNN, file: Path, about: dict[str, str], graph: Graph, precision: Precision = "fp32"
) -> None:
    """Write a program for ``torch.export.load``; arguments as for :func:`write_onnx`."""
    program = _program(net, graph, precision)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    with _quiet():
        torch.export.save(program, file, extra_files={PT2_METADATA: json.dumps(about)})


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what PyTorch's exporter says that nobody here can act on."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def export(
    weights: Path,
    output: Path,
    graph: Graph = "luma",
    precision: Precision = "fp32",
    images: ImageSet | None = None,
) -> None:
    """Write a file, compare it with PyTorch, print the comparison, and put it in its place.

    The file appears whole and compared, or not at all.

    Args:
        weights: See :func:`fdnn.models.weights.find_weights`.
        output: ``.onnx`` or ``.pt2``; its folder is created.
        graph: ``luma`` or ``rgb``.
        precision: ``fp32`` or ``fp16``.
        images: To compare on as well.

    Raises:
        UserError: If the extension is unknown, the extra is not installed, there are no
            weights, they are not FDNN's, or the file differs from PyTorch too much.
        ImageError: If an image cannot be read or is too small.
        OSError: If the file cannot be written.
    """
    if output.suffix not in {f".{name}" for name in FORMATS}:
        raise UserError(f"--output {output}: unknown extension; use .onnx or .pt2")
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if output.suffix == ".onnx" and missing:
        raise UserError(f"{', '.join(missing)} not installed; pip install -e '.[export]'")
    file = find_weights(weights)
    net = load(file)
    if not isinstance(net, FDNN):
        raise UserError(f"{file}: only FDNN can be exported, this is {type(net).__name__}")
    if output.is_dir():
        raise UserError(f"--output {output}: is a folder; name a file in it")
    with replacing(output) as partial:
        write = write_onnx if output.suffix == ".onnx" else write_pt2
        try:
            write(net, partial, metadata(net, file, graph, precision), graph, precision)
            run = parity.runner(partial)
        except OSError:
            raise
        except Exception as error:  # exporters and runtimes raise all kinds
            raise UserError(f"{file}: cannot be exported ({first_line(error)})") from error
        _compare(net, run, graph, precision, images)


def _compare(
    net: Network,
    run: parity.Run,
    graph: Graph,
    precision: Precision,
    images: ImageSet | None,
) -> None:
    """Print how far file and PyTorch are apart; raise UserError if it is too far."""
    print(f"{'random LR, n x h x w':24} {'largest difference':>18} {'PSNR between':>12}")
    rows = _table(parity.on_noise(net, run, graph))
    if images is not None:
        head = f"{'largest difference':>18} {'PSNR between':>12} {'to HR: PyTorch':>14} {'file':>8}"
        print(f"{images.name:24} {head}")
        rows += _table(parity.on_images(net, run, graph, images))
    allowed = TOLERANCE[precision]
    for row in rows:
        off = row.largest if precision == "fp32" else 10 ** (-row.psnr / 20)
        if not off <= allowed:  # NaN is not
            raise UserError(
                f"the exported file differs from PyTorch by {off:.2g} on {row.name}, allowed is "
                f"{allowed:g} for {precision}; not written (try the versions in constraints.txt)"
            )


def _table(rows: Iterable[parity.Difference]) -> list[parity.Difference]:
    """Print rows and, if there is HR, their mean; return them."""
    rows = list(rows)
    scores = []
    for row in rows:
        line = f"{row.name:24.24} {row.largest:18.2e} {row.psnr:12.1f}"
        if row.hr:
            scores.append(row.hr)
            line += f" {row.hr[0]:14.3f} {row.hr[1]:8.3f}"
        print(line)
    if scores:
        before, after = (sum(column) / len(scores) for column in zip(*scores, strict=True))
        cost = f"the file's is {round(after - before, 4) + 0.0:+.4f} dB from PyTorch's"
        largest = max(row.largest for row in rows)
        print(f"{'mean':24} {largest:18.2e} {'':12} {before:14.3f} {after:8.3f}   {cost}")
    return rows


@one_line
def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="fdnn export",
        description=__doc__.splitlines()[0] if __doc__ else "",
    )
    parser.add_argument("weights", type=Path, help="such as checkpoints/fdnn_x3, or a .ckpt")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help=".onnx or .pt2")
    parser.add_argument("--format", choices=FORMATS, help="default: what --output ends in")
    parser.add_argument(
        "--graph",
        choices=get_args(Graph),
        default="luma",
        help="luma: (n, 1, h, w) as the network has it; rgb: (n, 3, h, w), colour inside "
        "(default: luma)",
    )
    parser.add_argument(
        "--precision",
        choices=get_args(Precision),
        default="fp32",
        help="fp16: half the size, deep layers in float16; needs --check (default: fp32)",
    )
    parser.add_argument(
        "--check",
        metavar="IMAGES",
        help="compare on these images too: a folder, or a set such as Set5 or sample-test",
    )
    options = parser.parse_args(args)
    if options.format and options.output.suffix != f".{options.format}":
        raise UserError(
            f"--format {options.format} does not fit --output {options.output}; let it end "
            f"in .{options.format}"
        )
    if options.precision == "fp16" and options.check is None:
        raise UserError(
            "--precision fp16 is not exact; say on which images to measure what it costs, "
            "such as --check sample-test"
        )
    images = find_set(options.check) if options.check is not None else None
    export(options.weights, options.output, options.graph, options.precision, images)
    size = options.output.stat().st_size
    print(f"written to {options.output} ({options.graph}, {options.precision}, {size:,} bytes)")
    return 0
