"""The share of one process in ``predict``: what it did, and what it could not do."""

from __future__ import annotations

import errno
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch

from fdnn.files.errors import UserError, words
from fdnn.images.io import MAX_PIXELS
from fdnn.models import Network
from fdnn.predict.magnify import Track, magnify_file, untracked


class Work:
    """Magnifies file after file; what goes wrong with one is kept, and the next is begun.

    Args:
        max_pixels: Refuse images, or frames, with more pixels than this.

    Attributes:
        track: Shows progress inside animations and videos.
        done: Files that were written.
        failures: A line for each of the others.
    """

    def __init__(self, max_pixels: int = MAX_PIXELS) -> None:
        self.max_pixels = max_pixels
        self.track: Track = untracked
        self.done = 0
        self.failures: list[str] = []
        self.group: Any = None

    def begin(self, processes: int) -> None:
        """Make ready to wait for the others, whose files may take hours more than one's own."""
        if processes > 1:
            self.group = torch.distributed.new_group(backend="gloo", timeout=timedelta(days=365))

    def do(self, net: Network, source: Path, target: Path) -> None:
        """Magnify one file.

        Args:
            net: Any network of :mod:`fdnn.models`.
            source: Image, animation or video.
            target: The result.

        Raises:
            OSError: If the disk is full, so that the next files would fail as well.
        """
        try:
            magnify_file(net, source, target, max_pixels=self.max_pixels, track=self.track)
            self.done += 1
        except UserError as error:
            self.failures.append(str(error))
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise OSError(error.errno, error.strerror, str(target)) from None
            self.failures.append(f"{target}: {error.strerror or error}")
        except (MemoryError, RuntimeError) as error:
            # PyTorch has a class of its own for a lack of a GPU's memory, and none for the rest.
            lacking = (MemoryError, torch.OutOfMemoryError)
            if not isinstance(error, lacking) and "DefaultCPUAllocator" not in str(error):
                raise
            self.failures.append(f"{source}: not enough memory")
        except (TypeError, ValueError, LookupError) as error:  # what nobody thought of
            self.failures.append(f"{source}: {type(error).__name__}: {words(error)}")

    def gather(self, processes: int) -> None:
        """Bring together what all processes did."""
        if processes > 1:
            shares: list[Any] = [None] * processes
            own = (self.failures, self.done)
            torch.distributed.all_gather_object(shares, own, group=self.group)
            self.failures = [text for failures, _ in shares for text in failures]
            self.done = sum(done for _, done in shares)
