"""Write a collection of images into shards that training can read from a folder or a bucket.

    python data_prep/shard.py path/to/photos T91 --output shards
    python src/train.py fit --config configs/fdnn_x4.yaml --data.train_sets '[shards]'

Shards are WebDataset tar files of the unchanged image files. Copied to an object store with any
tool, they are read from there: --data.train_sets '[s3://bucket/shards]'.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fdnn.data.shards import write_shards
from fdnn.files.errors import one_line


@one_line
def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("sources", nargs="+", help="folders of images, or names of sets")
    parser.add_argument("--output", type=Path, required=True, help="folder for the shards")
    parser.add_argument("--megabytes", type=int, default=100, help="size of a shard (100)")
    options = parser.parse_args(args)
    if options.megabytes < 1:
        parser.error(f"--megabytes must be at least 1, got {options.megabytes}")
    shards = write_shards(options.sources, options.output, options.megabytes)
    print(f"{len(shards)} images in {len(shards.files)} shards written to {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
