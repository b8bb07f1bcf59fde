"""Score images that another method made, under the protocol of :mod:`fdnn.evaluation.metrics`.

    fdnn evaluate path/to/sr path/to/hr --scale 3 --output scores

SR and HR images belong together by the name of the file, less its extension; ``--suffix _x3``
finds ``baby_x3.png`` for ``baby.png``. HR is cropped to a multiple of the scale; an SR image has
that size, or the size of the whole HR image. An SR image in RGB of a gray HR image counts as gray,
a gray one of an HR image whose channels are equal as RGB; of other HR images, as luma from 16 to
235.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fdnn.data.sets import ImageSet, find_set
from fdnn.evaluation import report
from fdnn.evaluation.metrics import BenchmarkScores, SetScores, check_size
from fdnn.files.errors import ImageError, UserError, one_line
from fdnn.files.provenance import CONFIG_NAME, RECORD_NAME
from fdnn.images.io import list_images, read_image
from fdnn.images.luma import luma, modcrop, plane, split_alpha
from fdnn.images.pillow import Array

log = logging.getLogger(__name__)


def match(images: ImageSet, folder: Path, suffix: str = "") -> list[Path]:
    """Find the SR file of each HR image.

    Args:
        images: The HR images.
        folder: Of the SR images, named as the HR files or, in Set5, as in tables (``baby``).
        suffix: What the SR names have behind those of the HR images.

    Returns:
        The files in the order of ``images``.

    Raises:
        UserError: If one is missing, or two have the same name.
    """
    _by_stem(images.paths)
    found = _by_stem(list_images(folder))
    names = list(zip((path.stem for path in images.paths), images.titles(), strict=True))
    files = [found.get(stem + suffix) or found.get(title + suffix) for stem, title in names]
    missing = [stem for (stem, _), file in zip(names, files, strict=True) if file is None]
    if missing:
        raise UserError(
            f"{folder}: no SR image named {missing[0] + suffix!r} "
            f"({len(missing)} of {len(images.paths)} missing); names must equal those of the HR "
            "images, see --suffix"
        )
    return [file for file in files if file is not None]


def _by_stem(paths: Sequence[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise UserError(f"{found[path.stem]} and {path} have the same name; keep one of them")
        found[path.stem] = path
    return found


def _pair(sr_file: Path, hr_file: Path, scale: int) -> tuple[Tensor, Tensor]:
    sr, whole = read_image(sr_file), read_image(hr_file)
    hr = modcrop(whole, scale, hr_file)
    if sr.shape[:2] == whole.shape[:2]:
        sr = modcrop(sr, scale, sr_file)
    if sr.shape[:2] != hr.shape[:2]:
        raise ImageError(
            f"{sr_file}: {sr.shape[1]}x{sr.shape[0]} pixels, but its HR image has "
            f"{hr.shape[1]}x{hr.shape[0]} after cropping to a multiple of {scale}"
        )
    check_size(whole, scale, hr_file)
    wanted, got = split_alpha(hr)[0], split_alpha(sr)[0]
    if wanted.ndim == 2:
        return plane(_gray(sr)), plane(luma(hr))
    if got.ndim == 2 and (wanted == wanted[..., :1]).all():
        sr = np.repeat(got[..., None], 3, axis=2)
    elif got.ndim == 2:
        log.warning("%s is gray, its HR image is not: taken for luma from 16 to 235", sr_file)
    return plane(luma(sr)), plane(luma(hr))


def _gray(image: Array) -> Array:
    """Take gray out of an image as RGB, which most programs write for gray images, too."""
    colour, _ = split_alpha(image)
    if colour.ndim == 2:
        return luma(colour)
    weighted = np.floor(colour @ np.array([0.299, 0.587, 0.114]) + 0.5)
    return luma(weighted.astype(image.dtype))


def score_folder(folder: Path, images: ImageSet, scale: int, suffix: str = "") -> SetScores:
    """Score the SR images of a folder against HR images.

    Args:
        folder: Of the SR images, gray or colour, 8 or 16 bits.
        images: The HR images.
        scale: Magnification: HR is cropped to a multiple of it, and so many pixels are shaved.
        suffix: See :func:`match`.

    Raises:
        UserError: If files are missing.
        ImageError: If a file cannot be read or has the wrong size.
    """
    if scale < 1:
        raise UserError(f"scale must be at least 1, got {scale}")
    metric = BenchmarkScores(scale, distributed_available_fn=lambda: False)
    pairs = zip(match(images, folder, suffix), images.paths, strict=True)
    for i, (sr_file, hr_file) in enumerate(pairs):
        sr, hr = _pair(sr_file, hr_file, scale)
        metric.update(torch.tensor([i]), sr, hr)
    return metric.of_set(images)


@one_line
def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="fdnn evaluate", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("sr", type=Path, help="folder of SR images")
    parser.add_argument("hr", help="folder of HR images, or the name of a set such as Set5")
    parser.add_argument("--scale", type=int, required=True, help="magnification")
    parser.add_argument("--suffix", default="", help="behind the names of the SR images")
    parser.add_argument("--name", help="of the method, for the table; default: the SR folder's")
    parser.add_argument("--output", type=Path, help="folder for benchmark.json and .csv")
    parser.add_argument("--per_image", action="store_true", help="print a row for each image")
    options = parser.parse_args(args)
    if options.output and options.output.exists() and not options.output.is_dir():
        raise UserError(f"--output {options.output} is a file; name a folder")
    of_a_run = (RECORD_NAME, CONFIG_NAME)
    if options.output and any((options.output / name).exists() for name in of_a_run):
        raise UserError(f"{options.output} has the scores of a run; choose another folder")
    name = options.name or options.sr.resolve().name
    images = find_set(options.hr)
    scores = score_folder(options.sr, images, options.scale, options.suffix)
    results = {scores.images.name: scores}
    report.show(name, options.scale, results, per_image=options.per_image)
    if options.output:
        benchmark = report.as_json(name, options.scale, results, None, "none: scored from files")
        path = report.write(options.output, benchmark)
        print(f"scores written to {path} and {report.CSV_NAME}")
    return 0
