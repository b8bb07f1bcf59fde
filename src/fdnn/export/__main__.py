"""``python -m fdnn.export``."""

import sys

from fdnn.export.command import main

if __name__ == "__main__":
    sys.exit(main())
