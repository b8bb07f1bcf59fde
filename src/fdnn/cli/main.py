"""The commands: ``fdnn`` for users of networks, ``src/train.py`` for training them.

A command's module is imported when the command runs, so that only training loads Lightning.
"""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable, Sequence

from fdnn.cli.process import keep_memory, share_cores
from fdnn.files.errors import UserError, one_line

Command = Callable[[Sequence[str]], int]

#: Commands that need no Trainer: name, module of this package with a ``main``, and what it does.
TOOLS = {
    "upscale": ("cli.upscale", "enlarge images, folders and videos (also: fdnn photo.jpg)"),
    "evaluate": ("evaluation.folder", "score a folder of images that any program made"),
    "export": ("export.command", "write a network as ONNX or .pt2"),
    "demo": ("demo.__main__", "try the networks in the browser"),
}
#: Commands of the Trainer.
TRAINER = {
    "fit": "train a network",
    "validate": "score weights on the validation sets",
    "test": "score weights on the benchmarks",
    "predict": "enlarge images, on several processes too",
}


@one_line
def main(args: Sequence[str] | None = None) -> int:
    """Run ``src/train.py``.

    Args:
        args: Words after the program's name; default: those of the process.

    Returns:
        The exit status.
    """
    _prepare()
    given = list(sys.argv[1:] if args is None else args)
    if given and given[0] in TOOLS:
        return _tool(given[0], given[1:])
    from fdnn.cli import trainer

    return trainer.main(args, f"Without a Trainer: {', '.join(TOOLS)}; each has --help.")


@one_line
def fdnn(args: Sequence[str] | None = None) -> int:
    """Run ``fdnn``: a command, or files to upscale.

    Args:
        args: Words after the program's name; default: those of the process.

    Returns:
        The exit status.
    """
    _prepare()
    given = list(sys.argv[1:] if args is None else args)
    if not given or given[0] in {"-h", "--help"}:
        print(_usage())
        return 0 if given else 2
    if given[0] == "train":
        return main(given[1:])
    if given[0] in TRAINER:
        raise UserError(f"'{given[0]}' is a command of training: fdnn train {given[0]} ...")
    if given[0] in TOOLS:
        return _tool(given[0], given[1:])
    return _tool("upscale", given)


def _prepare() -> None:
    """Set up the process, before PyTorch is imported."""
    share_cores()
    keep_memory()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be UTF-8


def _tool(name: str, args: Sequence[str]) -> int:
    command: Command = importlib.import_module(f"fdnn.{TOOLS[name][0]}").main
    return command(args)


def _usage() -> str:
    rows = [(name, text) for name, (_, text) in TOOLS.items()]
    rows += [(f"train {name}", text) for name, text in TRAINER.items()]
    lines = "\n".join(f"  {name:15} {text}" for name, text in rows)
    return (
        "usage: fdnn photo.jpg [options]      writes photo_x3.jpg beside it\n"
        f"       fdnn COMMAND ...              each command has --help\n\n{lines}"
    )
