"""Write LR images to disk, made as MATLAB's imresize makes them, for use with other tools.

    python data_prep/make_lr.py data/Set5 lr/Set5_x3 --scale 3

HR images are cropped to a multiple of the scale; results are 8-bit (16-bit for 16-bit images)
PNG files of the same name. For the scores of this project nothing needs to be written: `test`
shrinks the luma in double precision, without rounding it.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fdnn.files.errors import UserError, one_line
from fdnn.images.io import list_images, read_image, write_image
from fdnn.images.luma import modcrop
from fdnn.images.resize import shrink


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
    times = Counter(path.resolve() for path in written)
    twice = [path for path in times if times[path] > 1]
    if twice:
        raise UserError(
            f"two results would get the same name, {twice[0]}; rename the images, or choose "
            "another --hr"
        )
    if overwritten := times.keys() & {f.resolve() for f in files}:
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
