"""One paper, one file.

Every network maps luma ``(n, 1, h, w)`` in [0, 1] to ``(n, 1, scale * h, scale * w)``, not
clamped. It takes ``scale`` as its first argument and has two attributes: ``arguments``, what
to call its class with to get the same network again, and ``context``, how many LR pixels to
each side an output pixel depends on.
"""

from fdnn.models.bicubic import Bicubic
from fdnn.models.fdnn import FDNN

__all__ = ["FDNN", "Bicubic"]
