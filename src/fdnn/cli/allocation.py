"""Memory in large pages that are kept for the next layer, for the command line on Linux.

A layer's result for a large image takes tens of megabytes. When it is no longer needed, glibc gives
a block of that size back to the system at once, and the next layer's comes in new pages of 4 KiB,
each of which the system has to find and to clear: for networks that work at HR size that takes as
long as their arithmetic (docs/speed.md has the gain). In pages of 2 MiB, and from memory that the
process still holds, it is nearly free.
"""

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


def keep_memory() -> bool:
    """Set it up for this process, before PyTorch allocates anything.

    Returns:
        Whether it was done: it is not without glibc, or if the user set :data:`SWITCH` to 0.
    """
    if platform.libc_ver()[0] != "glibc" or os.environ.get(SWITCH) == "0":
        return False
    os.environ[SWITCH] = "1"
    libc = ctypes.CDLL(None)
    # Blocks of any size come from the heap, which shrinks when more than that is free at its end.
    return bool(libc.mallopt(_MMAP_MAX, 0) and libc.mallopt(_TRIM_THRESHOLD, KEPT))
