"""Settings of the process that must precede the import of PyTorch."""

from __future__ import annotations

import ctypes
import os
import platform

#: PyTorch reads it at its first block; 0 in the environment leaves allocation as it is.
SWITCH = "THP_MEM_ALLOC_ENABLE"

#: Free memory in bytes that the process holds on to: the most that glibc takes.
KEPT = 2**31 - 1

# Numbers of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def share_cores() -> None:
    """Let threads that wait sleep, unless the user decided otherwise.

    OpenMP reads the variable when PyTorch is imported. By default its threads spin while they wait.
    Beside another busy process they then hold up the thread that works.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def keep_memory() -> bool:
    """Keep freed memory, in large pages, for the next layer, on Linux.

    A layer's result for a large image takes tens of megabytes. By default glibc returns such a
    block to the system, and the next layer's comes in new pages of 4 KiB that the system has to
    clear. In networks that work at HR size that takes as long as their arithmetic (docs/speed.md).

    Returns:
        Whether it was done: it is not without glibc, or if the user set :data:`SWITCH` to 0.
    """
    if platform.libc_ver()[0] != "glibc" or os.environ.get(SWITCH) == "0":
        return False
    os.environ[SWITCH] = "1"
    libc = ctypes.CDLL(None)
    # Blocks of any size come from the heap, which shrinks when more than that is free at its end.
    return bool(libc.mallopt(_MMAP_MAX, 0) and libc.mallopt(_TRIM_THRESHOLD, KEPT))
