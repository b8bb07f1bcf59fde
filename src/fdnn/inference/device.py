"""Where a network runs."""

from __future__ import annotations

import torch

from fdnn.files.errors import UserError


def pick_device(name: str = "auto") -> torch.device:
    """Choose the device.

    Args:
        name: ``auto`` (an NVIDIA GPU, else an Apple GPU, else the processor), ``cpu``, ``cuda``,
            ``cuda:1`` or ``mps``.

    Raises:
        UserError: If there is no such device.
    """
    present = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if present[kind]))
    if not present.get(name.partition(":")[0], False):
        here = ", ".join(kind for kind, is_here in present.items() if is_here)
        raise UserError(f"no device {name!r}; this machine has {here}")
    return torch.device(name)
