"""Write the page of results: ``python -m tools.report --help``."""

import sys

from tools.report.page import main

if __name__ == "__main__":
    sys.exit(main())
