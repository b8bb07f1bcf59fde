"""Imports run one way: a folder of the package uses those before it, never those behind it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "fdnn"

#: Each may use the folders before it, those of ``ON_TOP`` all of these.
ORDER = ["files", "images", "models", "inference", "data", "evaluation", "predict", "training"]
ON_TOP = ["export", "demo", "cli"]


def imported(file: Path) -> set[str]:
    """Return the modules that a file names in imports, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("folder", [*ORDER, *ON_TOP])
def test_folders_use_those_before_them(folder) -> None:
    before = ORDER[: ORDER.index(folder) + 1] if folder in ORDER else [*ORDER, folder]
    files = sorted((PACKAGE / folder).rglob("*.py"))
    assert files
    for file in files:
        used = {name.split(".")[1] for name in imported(file) if name.startswith("fdnn.")}
        assert used <= set(before), file


def test_the_package_does_not_use_the_repository() -> None:
    for file in PACKAGE.rglob("*.py"):
        roots = {name.partition(".")[0] for name in imported(file)}
        assert not roots & {"tools", "data_prep", "tests"}, file
