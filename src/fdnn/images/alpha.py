"""Colour behind transparency, so that it can be magnified without fringes.

What an editor leaves in the colour of a transparent pixel (black, white, anything) is not part
of the picture, but a filter that looks at neighbours would draw it into the visible edge.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

#: A pixel whose alpha is below this fraction of the strongest nearby takes over colour: at
#: an alpha of a few 1/255 the stored colour is mostly rounding error.
FAINT = 1 / 8
#: Side of the window that "nearby" means, in pixels.
NEARBY = 5


def fill_hidden(image: Tensor) -> Tensor:
    """Give (nearly) transparent pixels the colour of the nearest visible one.

    Args:
        image: ``(2, h, w)`` or ``(4, h, w)``, alpha last, of any real dtype.

    Returns:
        The image with the same alpha; the same object if nothing is hidden, or everything.
    """
    from scipy.ndimage import distance_transform_edt, maximum_filter

    alpha = image[-1].cpu().to(torch.float32).numpy()
    hidden = (alpha <= 0) | (alpha < FAINT * maximum_filter(alpha, size=NEARBY))
    if not hidden.any() or hidden.all():
        return image
    nearest = distance_transform_edt(hidden, return_distances=False, return_indices=True)
    rows, columns = (torch.from_numpy(i[hidden].astype(np.int64)) for i in nearest)
    filled = image.clone()
    # PyTorch moves single elements of 16 bits only if it thinks they have a sign.
    signed = torch.int16 if image.dtype == torch.uint16 else image.dtype
    new, old = filled.view(signed), image.view(signed)
    new[:-1, torch.from_numpy(hidden)] = old[:-1, rows, columns]
    return filled
