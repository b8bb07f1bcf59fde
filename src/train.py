"""Train, test and use super-resolution networks: ``python src/train.py --help``."""

import sys

from fdnn.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
