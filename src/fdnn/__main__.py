"""``python -m fdnn`` is the command ``fdnn``."""

import sys

from fdnn.cli.main import fdnn

if __name__ == "__main__":
    sys.exit(fdnn())
