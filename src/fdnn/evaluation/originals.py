"""Whether a set has the images that published scores are of.

Copies of Set5, Set14 and BSD100 go round that are cropped, compressed once more, or have their gray
images as RGB, whose luma spans 16 to 235 instead of 0 to 255: their scores are others.
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np

from fdnn.data.sets import ImageSet
from fdnn.images.io import read_image
from fdnn.images.luma import luma

#: Set -> SHA-256 over those of the luma of its images, sorted: files may have any name. Bicubic
#: scores on these images what the paper prints (docs/protocol.md).
DIGESTS = {
    "Set5": "5594524a5dfd4a7c411c5a3425e3c5e3e0cb1ef40f45bdcc06660e46a6ff5a7e",
    "Set14": "01b8a3e29b9b2896ac75db871e7b966f2c92fab4778615ebc5e9f58c6e73869b",
    "B100": "8332b67b26672a367199a2745d13fd7afce1586fffed2562f4bc03f278766d02",
}

#: What a set is called behind its name if it is not the published one.
OTHER = ", other images"


def true_name(images: ImageSet) -> str:
    """Name a set for tables: ``Set14, other images`` if only its name is that of the published one.

    Args:
        images: Any set. Those without a published namesake keep their names and are not read.

    Raises:
        ImageError: If an image cannot be read.
    """
    if images.name not in DIGESTS or DIGESTS[images.name] == _digest(images):
        return images.name
    return images.name + OTHER


@cache
def _digest(images: ImageSet) -> str:
    each = []
    for path in images.paths:
        y = np.rint(luma(read_image(path))).astype(np.uint8)
        each.append(hashlib.sha256(repr(y.shape).encode() + y.tobytes()).digest())
    return hashlib.sha256(b"".join(sorted(each))).hexdigest()
