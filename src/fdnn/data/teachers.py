"""What trained networks make of the training images, as targets of another training.

The mean over several networks, each over the eight flips and turns of an image
(:mod:`fdnn.models.ensemble`), is nearer to the original than what any single pass makes, and free
of detail that no network can know from the LR image. A network learns to give this mean in one pass
("distillation", Hinton, Vinyals, Dean 2015). Nothing but the training images enters. Not in the
paper.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from fdnn.files.digest import sha256
from fdnn.inference.hardware import half_precision
from fdnn.inference.tiles import full_float32, upscale_luma
from fdnn.images.luma import to_8_bit
from fdnn.models.ensemble import SelfEnsemble
from fdnn.models.weights import find_weights, load


class Teachers:
    """Replaces the HR image of a training pair by what trained networks make of its LR image.

    They run on a GPU if there is one, and in half precision where that is faster. bfloat16 changes
    the mean by 0.05 to 0.15 grey levels (root mean square), rounding to 8 bits by 0.29.

    Args:
        weights: Weight files or their folders.
        scale: Magnification.

    Raises:
        UserError: If weights cannot be used.

    Attributes:
        hashes: SHA-256 of the weight files.
    """

    def __init__(self, weights: Sequence[str], scale: int) -> None:
        self.hashes = [sha256(find_weights(path)) for path in weights]
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.nets = [SelfEnsemble(load(path, scale)).to(self.device) for path in weights]

    @torch.inference_mode()
    def target(self, lr: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Map LR ``(h, w)`` in [0, 255] to the networks' mean ``(scale * h, scale * w)``."""
        image = torch.from_numpy(lr)[None, None].to(self.device) / 255
        half = half_precision(self.device)
        # The bicubic base, which stays in float32, must not lose digits to TF32.
        with (
            full_float32(self.device),
            torch.autocast(self.device.type, half, enabled=half is not None),
        ):
            passes = [upscale_luma(net, image).float().clamp(0, 1) for net in self.nets]
        mean = torch.stack(passes).mean(dim=0)[0, 0]
        return to_8_bit(mean.double() * 255).to(torch.uint8).cpu().numpy()
