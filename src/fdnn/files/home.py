"""Paths that begin with the home folder."""

from __future__ import annotations

from pathlib import Path


def expanded(path: Path | str) -> Path:
    """Put the home folder in place of ``~``; a name that only looks so, ``~photo.png``, stays."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # there is no such user
        return Path(path)
