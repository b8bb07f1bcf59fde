"""What the fits without gradients share: their images, and the folder that they leave."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from fdnn.data.sets import ImageSet, find_set
from fdnn.evaluation.metrics import SetScores
from fdnn.evaluation.published import method
from fdnn.evaluation.report import JSON_NAME, as_json
from fdnn.evaluation.score import score
from fdnn.files.digest import sha256
from fdnn.files.errors import ImageError, UserError, one_line
from fdnn.files.provenance import RECORD_NAME, git_commit, hardware, versions
from fdnn.images.io import read_image
from fdnn.images.luma import luma, modcrop, plane
from fdnn.inference.pretrained import SHIPPED
from fdnn.models import Network
from fdnn.models.network import MAX_SCALE
from fdnn.models.weights import FILE_NAME, save_weights
from fdnn.training.card import PAGE_NAME, check_free, page

#: Sets that fitted weights are scored on, where they are there.
TEST_SETS = ("Set5", "Set14", "B100")


#: LR pixels a side of the images that are fitted to, at least.
SMALLEST = 8


def hr_images(images: ImageSet, scale: int) -> list[Tensor]:
    """Read the luma of a set: ``(1, 1, h, w)`` float64 in [0, 1], cropped to multiples of scale.

    Raises:
        ImageError: If an image cannot be read, or holds no patch once A+ has shrunk it.
    """
    found = []
    for path in images.paths:
        y = luma(read_image(path))
        if min(y.shape) < SMALLEST * scale:
            raise ImageError(
                f"{path}: {y.shape[1]}x{y.shape[0]} is too small to be fitted to at x{scale}: "
                f"at least {SMALLEST * scale} pixels a side are needed; leave it out"
            )
        found.append(plane(modcrop(y, scale)) / 255)
    return found


@one_line
def main(
    name: str,
    fit: Callable[[list[Tensor], int, int], tuple[Network, int]],
    departures: str,
    args: Sequence[str] | None = None,
) -> int:
    """Run the command line of a fit.

    Args:
        name: Of the method, for its weights.
        fit: Maps images, scale and seed to a network and how many patches it was fitted to.
        departures: What departs from the paper, as a Markdown list.
        args: The command's arguments; default: those of the process.

    Returns:
        The exit status.

    Raises:
        UserError: If the folder has such files already, or the images cannot be used.
    """
    parser = argparse.ArgumentParser(description=f"Fit {name} to images.")
    parser.add_argument("--scale", type=int, required=True, help="magnification, such as 3")
    parser.add_argument("--images", default="T91", help="name or folder of the images (T91)")
    parser.add_argument("--output", type=Path, help=f"folder to make (logs/{name}_xN)")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (0)")
    options = parser.parse_args(args)
    if not 2 <= options.scale <= MAX_SCALE:
        parser.error(f"--scale must be 2 to {MAX_SCALE}, got {options.scale}")
    if not 0 <= options.seed < 2**32:
        parser.error(f"--seed must be 0 to 2^32 - 1, got {options.seed}")
    folder = options.output or Path(f"logs/{name}_x{options.scale}")
    check_free(folder, options.overwrite)
    wall, cpu = time.monotonic(), time.process_time()
    images = find_set(options.images)
    hr = hr_images(images, options.scale)
    folder.mkdir(parents=True, exist_ok=True)  # says now if it cannot be, not after the work
    net, patches = fit(hr, options.scale, options.seed)
    about = {
        "patches": patches,
        "minutes": round((time.monotonic() - wall) / 60, 1),
        "cpu_minutes": round((time.process_time() - cpu) / 60, 1),
    }
    publish(net, folder, record(net, images, options.seed, about), departures)
    return 0


def record(net: Network, images: ImageSet, seed: int, about: dict[str, Any]) -> dict[str, Any]:
    """Say where weights come from.

    Args:
        net: The fitted network.
        images: What it was fitted to.
        seed: Of the fit.
        about: Anything else, such as times.
    """
    return {
        "command": shlex.join(["python", *sys.argv]),
        "git_commit": git_commit(),
        "seed": seed,
        "parameters": sum(p.numel() for p in net.parameters()),
        "hardware": hardware(),
        "versions": versions(),
        "train_sets": [images.name],
        "data_sha256": {images.name: images.sha256()},
        "images": {images.name: len(images.paths)},
        **about,
    }


def publish(net: Network, folder: Path, origin: dict[str, Any], departures: str) -> None:
    """Write weights, record, scores and card.

    Sets of ``TEST_SETS`` that are not there are left out of the scores, with a notice.

    Args:
        net: The fitted network.
        folder: Where to, such as checkpoints/aplus_x3.
        origin: Of :func:`record`.
        departures: What departs from the paper, as a Markdown list.
    """
    file = folder / FILE_NAME
    save_weights(net, file)
    digest = sha256(file)
    origin = origin | {"weights_sha256": digest}
    (folder / RECORD_NAME).write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")
    print(f"weights written to {file}", flush=True)
    results: dict[str, SetScores] = {}
    for name in TEST_SETS:
        try:
            results[name] = score(net, find_set(name))
        except UserError as error:
            print(f"not scored: {error}", file=sys.stderr)
            continue
        print(f"{name}: {results[name].psnr:.3f} dB, {results[name].ssim:.4f}", flush=True)
    weights = {"path": FILE_NAME, "sha256": digest}
    scores = as_json(type(net).__name__, net.scale, results, weights, "eager, fp32")
    (folder / JSON_NAME).write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    text = card(folder, origin, scores, departures)
    (folder / PAGE_NAME).write_text(text, encoding="utf-8")
    print(f"scores and card: {folder}")


def card(folder: Path, origin: dict[str, Any], benchmark: dict[str, Any], departures: str) -> str:
    """Write the card.

    Args:
        folder: Of the weights.
        origin: Of :func:`record`.
        benchmark: Of :func:`fdnn.evaluation.report.as_json`.
        departures: As a Markdown list.

    Returns:
        Markdown.
    """
    theirs, config = method(benchmark["model"]), Path(f"configs/{folder.name}.yaml")
    about = (
        f"{theirs} at x{benchmark['scale']}, {origin['parameters']:,} numbers, fitted without "
        "gradients. Nothing was chosen by a score."
    )
    facts = {
        "Fitted by": f"`{origin['command']}`",
        "Commit": origin["git_commit"],
        "Seed": origin["seed"],
        "Patches": f"{origin['patches']:,}",
        "Minutes": f"{origin['minutes']} ({origin['cpu_minutes']} of processor time)",
        "Hardware": origin["hardware"],
        "PyTorch": origin["versions"]["torch"],
    }
    command = f"python src/train.py test --config {config}" if config.is_file() else None
    if command and folder.resolve() != (SHIPPED / folder.name).resolve():
        command += f" --ckpt_path {shlex.quote(str(folder))}"
    departures = f"Departures from the method's own paper:\n\n{departures}"
    return page(
        folder.name, about, benchmark, (theirs, "Bicubic"), command, origin, facts, departures
    )
