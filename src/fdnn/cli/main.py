"""The commands: ``fdnn`` for users of networks, ``src/train.py`` for training them.

A command's module is imported when the command runs, so that only training loads Lightning.
"""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise

from fdnn.cli.process import keep_memory, share_cores
from fdnn.files.errors import UserError, one_line
from fdnn.files.home import expanded

Command = Callable[[Sequence[str]], int]

#: Commands that need no Trainer: name, module of this package with a ``main``, and what it does.
TOOLS = {
    "upscale": ("cli.upscale", "enlarge images, folders and videos"),
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
    if not given or given[0] in {"-h", "--help"}:
        print(_usage("python src/train.py", ""))
        return 0 if given else 2
    if given[0] in TOOLS:
        return _tool(given[0], given[1:])
    _check(given)
    from fdnn.cli import trainer

    return trainer.main(given)


def _check(given: Sequence[str]) -> None:
    """Find the commonest mistakes before Lightning, which takes seconds, is loaded."""
    if given[0] not in TRAINER:
        raise UserError(
            f"no command {given[0]!r} in first place; there are {', '.join([*TRAINER, *TOOLS])}"
        )
    for word, following in pairwise([*given, ""]):
        name, _, value = word.partition("=")
        if name not in {"-c", "--config"}:
            continue
        config = value or following
        inline = config.lstrip().startswith("{")
        if not inline and config and not expanded(config).is_file():
            raise UserError(f"no config at {config}; configs/ of the repository has some")


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
        print(_usage("fdnn", "train "))
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


def _usage(program: str, trainer: str) -> str:
    """List the commands; ``trainer`` stands before those of the Trainer."""
    rows = [(f"{trainer}{name}", text) for name, text in TRAINER.items()]
    rows += [(name, text) for name, (_, text) in TOOLS.items()]
    lines = "\n".join(f"  {name:15} {text}" for name, text in rows)
    return (
        f"usage: {program} COMMAND ...      each command has --help\n\n{lines}\n\n"
        "fdnn photo.jpg writes photo_x3.jpg beside it."
    )
