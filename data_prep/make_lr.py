"""Write LR images to disk, made as MATLAB's imresize makes them, for use with other tools.

    python data_prep/make_lr.py data/Set5 lr/Set5_x3 --scale 3

HR images are cropped to a multiple of the scale; results are 8-bit (16-bit for 16-bit images)
PNG files of the same name. For the scores of this project nothing needs to be written: `test`
shrinks the luma in double precision, without rounding it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from fdnn.errors import UserError, one_line
from fdnn.images import Array, list_images, read_image, write_image
from fdnn.luma import modcrop
from fdnn.resize import MatlabGeneration, imresize


def shrink(image: Array, scale: int, generation: MatlabGeneration = "r2017b") -> Array:
    """Shrink ``(h, w)`` or ``(h, w, c)`` by ``scale``, keeping dtype and channels.

    Args:
        image: uint8 or uint16, cropped to a multiple of ``scale``.
        scale: Factor.
        generation: See :mod:`fdnn.resize`; ``legacy_uint8`` takes uint8 only.

    Raises:
        UserError: If the image is 16-bit and the generation is ``legacy_uint8``.
    """
    planes = torch.from_numpy(np.moveaxis(np.atleast_3d(image), -1, 0).copy())
    if generation == "legacy_uint8":
        if image.dtype != np.uint8:
            raise UserError("legacy_uint8 takes 8-bit images only; use --generation r2017b")
        small = imresize(planes, 1 / scale, generation=generation)
    else:
        peak = np.iinfo(image.dtype).max
        wide = torch.from_numpy(planes.numpy().astype(np.float64))
        small = torch.floor(imresize(wide, 1 / scale).clamp(0, peak) + 0.5)
    result = np.moveaxis(small.numpy().astype(image.dtype), 0, -1)
    return np.ascontiguousarray(result[..., 0] if image.ndim == 2 else result)


@one_line
def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("source", type=Path, help="folder of HR images")
    parser.add_argument("target", type=Path, help="folder for the LR images")
    parser.add_argument("--scale", type=int, required=True, help="factor, such as 3")
    parser.add_argument("--hr", type=Path, help="also write the cropped HR images to this folder")
    parser.add_argument(
        "--generation",
        choices=("r2017b", "legacy_uint8"),
        default="r2017b",
        help="which MATLAB to reproduce (r2017b)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace images that exist")
    options = parser.parse_args(args)
    if options.scale < 2:
        parser.error(f"--scale must be at least 2, got {options.scale}")
    files = list_images(options.source)
    targets = [options.target / f"{file.stem}.png" for file in files]
    written = [*targets, *((options.hr / t.name for t in targets) if options.hr else ())]
    results = {path.resolve() for path in written}
    if len(results) < len(written):
        raise UserError(
            "two results would get the same name; rename the images, or choose another --hr"
        )
    if overwritten := results & {f.resolve() for f in files}:
        raise UserError(f"{overwritten.pop()} would be overwritten; choose another folder")
    if not options.overwrite and (present := [path for path in written if path.exists()]):
        raise UserError(f"{present[0]} exists; choose another folder, or add --overwrite")
    for file, target in zip(files, targets, strict=True):
        hr = modcrop(read_image(file), options.scale, file)
        write_image(target, shrink(hr, options.scale, options.generation))
        if options.hr:
            write_image(options.hr / target.name, hr)
    print(f"{len(files)} LR images written to {options.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
