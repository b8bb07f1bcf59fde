"""The subcommands of ``src/train.py``: what needs a Trainer goes to :mod:`fdnn.cli.trainer`.

The other tools start at once, because they do not load Lightning.
"""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable, Sequence

from fdnn.cli.process import keep_memory, share_cores
from fdnn.files.errors import one_line

Tool = Callable[[Sequence[str]], int]
#: Subcommands that need no Trainer: name -> module of this package with a ``main``.
TOOLS = {"evaluate": "evaluation.folder", "export": "export.command"}


@one_line
def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: Words after the program's name; default: those of the process.

    Returns:
        The exit status, see :func:`fdnn.cli.trainer.main`.
    """
    share_cores()
    keep_memory()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be UTF-8
    given = list(sys.argv[1:] if args is None else args)
    if given and given[0] in TOOLS:
        tool: Tool = importlib.import_module(f"fdnn.{TOOLS[given[0]]}").main
        return tool(given[1:])
    from fdnn.cli import trainer as cli

    return cli.main(args, f"Without a Trainer: {', '.join(TOOLS)}; each has --help.")
