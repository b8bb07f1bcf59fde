"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lend a temporary file that takes the place of ``path`` once it is complete.

    Args:
        path: Target; its folder is created. An old file there stays until the new one is
            written.

    Yields:
        A file beside ``path`` with the same extension, to write to. If the block raises
        anything, an interrupt included, it is deleted and ``path`` stays as it was.

    Raises:
        OSError: If the folder cannot be made or written to, or the disk is full; names ``path``
            where the system names no file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=path.suffix, prefix=".fdnn-", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename is None:
            error.filename = str(path)
        raise
