"""FDNN: single-image super-resolution whose numbers match the paper.

from fdnn import load, upscale

large = upscale(image)                   # Pillow image, NumPy array or tensor
large = upscale(image, load("fdnn_x2"))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fdnn.inference.api import upscale
    from fdnn.inference.pretrained import load

__all__ = ["load", "upscale"]


def __getattr__(name: str) -> Any:
    # On demand, so that importing a part of the package loads that part only.
    if name == "upscale":
        from fdnn.inference.api import upscale

        return upscale
    if name == "load":
        from fdnn.inference.pretrained import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
