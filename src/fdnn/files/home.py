"""Paths that begin with the home folder, and where links lead."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(path: Path | str) -> Path:
    """Put the home folder in place of ``~``; a name that only looks so, ``~photo.png``, stays."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # there is no such user
        return Path(path)


def real(path: Path) -> Path:
    """Follow links; unlike ``Path.resolve``, one that leads to itself does not end in an error."""
    return Path(os.path.realpath(path))
