"""The paper's training loss, MSE + Kullback-Leibler divergence (Sec. 3.3, Eqs. 19-21).

Every loss here maps ``(sr, hr, valid_mask)`` to a dictionary of named scalars. Training minimises
``"loss"`` and logs all of them.

* ``sr``, ``hr``: ``(n, 1, h, w)``, pixels nominally in [0, 1].
* ``valid_mask``: ``(n, 1, h, w)`` bool, the pixels that count; ``None``: all of them. Each image is
  divided by its own number of valid pixels, so the loss does not depend on how a batch is split.

A loss may leave ``valid_mask`` out of its arguments. It then gets ``sr`` equal to ``hr`` at pixels
that do not count. ``title``, where a loss has one, is its name in records and tables.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fdnn.files.errors import UserError

#: Added to every pixel before an image is normalised to a distribution; a quarter of a
#: grey level, so that black pixels keep a finite logarithm.
EPSILON = 1e-3

#: Pixels above this count as this in the divergence: keeps sums finite in float32.
CEILING = 1e6

#: The float32 above -1: a pixel's share of ``sr`` relative to that of ``hr`` falls no lower, whose
#: logarithm would be infinite.
LOWEST = -1 + 2**-24

#: Below any probability that :func:`as_distribution` gives to a valid pixel.
SMALLEST = 1e-30


def image_means(values: Tensor, valid_mask: Tensor | None = None) -> Tensor:
    """Average each image over its valid pixels.

    Args:
        values: ``(n, ...)``.
        valid_mask: Same shape, bool; ``None``: all pixels.

    Returns:
        ``(n,)``; 0 for an image without valid pixels.
    """
    if valid_mask is None:
        return values.flatten(1).mean(dim=1)
    mask = valid_mask.flatten(1)
    return (values.flatten(1) * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)


def as_distribution(
    image: Tensor, epsilon: float = EPSILON, valid_mask: Tensor | None = None
) -> Tensor:
    """Turn each image into a probability distribution over its pixels.

    Negative pixels count as 0 (the divergence has no gradient there; MSE has).

    Args:
        image: ``(n, ...)``, any finite values.
        epsilon: Added to every pixel before normalising, in pixel units of [0, 1].
        valid_mask: Same shape as ``image``, bool; other pixels have probability 0.

    Returns:
        ``(n, m)`` float32, positive where valid, each row summing to 1.
    """
    mass = image.float().flatten(1).clamp(0, CEILING) + epsilon
    if valid_mask is not None:
        mass = mass * valid_mask.flatten(1)
    return mass / mass.sum(dim=1, keepdim=True).clamp(min=epsilon)


def kl_divergence(
    sr: Tensor, hr: Tensor, epsilon: float = EPSILON, valid_mask: Tensor | None = None
) -> Tensor:
    """Kullback-Leibler divergence D(hr || sr) of images taken as distributions (Eq. 19).

    Both sides are normalised to sum 1, so this is a true divergence. It is summed as
    ``p (r - log(1 + r))`` with ``r = (q - p) / p``, which equals ``p log(p / q)`` in total
    because p and q both sum to 1, and in which no term can be negative, rounding included.

    Args:
        sr: Network output ``(n, ...)``, any finite values.
        hr: Ground truth, same shape.
        epsilon: See :func:`as_distribution`.
        valid_mask: Same shape, bool: the pixels that count; ``None``: all.

    Returns:
        ``(n,)`` float32, in nats, at least 0; 0 for identical images.
    """
    with torch.autocast(device_type=sr.device.type, enabled=False):
        p = as_distribution(hr, epsilon, valid_mask)
        q = as_distribution(sr, epsilon, valid_mask)
        # Both are 0 where a pixel does not count.
        ratio = ((q - p) / p.clamp(min=SMALLEST)).clamp(min=LOWEST)
        return (p * (ratio - torch.log1p(ratio))).sum(dim=1)


def kl_printed(
    sr: Tensor, hr: Tensor, epsilon: float = EPSILON, valid_mask: Tensor | None = None
) -> Tensor:
    """The KL term to the letter of Eqs. 20-21: ``|sum_j h_j log(h_j / f_j)|`` per image.

    It differs from a divergence in that neither image is normalised: the sum may be
    negative (hence the printed norm around it), it vanishes for images that are not
    equal, and it grows with the number of pixels. Both images are clamped to at least
    ``epsilon``, which the paper does not mention but the logarithm needs.

    Args:
        sr: Network output ``(n, ...)``, any finite values.
        hr: Ground truth, same shape.
        epsilon: Smallest pixel value.
        valid_mask: Same shape, bool: the pixels that count; ``None``: all.

    Returns:
        ``(n,)`` float32, at least 0.
    """
    with torch.autocast(device_type=sr.device.type, enabled=False):
        h = hr.float().flatten(1).clamp(epsilon, CEILING)
        f = sr.float().flatten(1).clamp(epsilon, CEILING)
        terms = h * (h / f).log()
        if valid_mask is not None:
            terms = terms * valid_mask.flatten(1)
        return terms.sum(dim=1).abs()


def check_terms(terms: Any) -> dict[str, Tensor]:
    """Take what a loss returned, a user's own maybe, if it is what this module says.

    Raises:
        UserError: If it is not.
    """
    named = terms if isinstance(terms, dict) else {type(terms).__name__: terms}
    numbers = all(isinstance(value, Tensor) and value.dim() == 0 for value in named.values())
    if isinstance(terms, dict) and "loss" in terms and numbers:
        return terms
    got = ", ".join(
        f"{name}: {tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__}"
        for name, value in named.items()
    )
    raise UserError(
        "model.loss must return a dictionary of numbers as tensors, 'loss' among them (see "
        f"src/fdnn/training/losses.py), got {got or 'an empty one'}"
    )


class PixelLoss(nn.Module):
    """A loss of pixel differences alone: what MSE + KL is compared with (Sec. 3.3, Table 1).

    Args:
        kind: ``"mse"`` (mean squared error) or ``"l1"`` (mean absolute error).

    Raises:
        ValueError: If it is neither.
    """

    def __init__(self, kind: Literal["mse", "l1"] = "mse") -> None:
        super().__init__()
        if kind not in ("mse", "l1"):
            raise ValueError(f"kind must be mse or l1, got {kind!r}")
        self.kind = kind
        self.title = kind.upper()

    def forward(
        self, sr: Tensor, hr: Tensor, valid_mask: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Compare two batches of images, ``(n, 1, h, w)`` each, where ``valid_mask`` is true.

        Returns:
            ``{"loss", kind}``, float32 scalars.
        """
        difference = F.mse_loss if self.kind == "mse" else F.l1_loss
        pixels = difference(sr.float(), hr.float(), reduction="none")
        value = image_means(pixels, valid_mask).mean()
        return {"loss": value, self.kind: value.detach()}


class MSEKLLoss(nn.Module):
    """Mean squared error plus weighted KL divergence, averaged over the batch (Eqs. 20-21).

    ``form="divergence"``, the default, departs from the printed equations: as the text calls the
    first term "the MSE loss", it is the mean of squared differences, and the images of the second
    are normalised. ``form="printed"`` is Eq. 21 to the letter: the Frobenius norm of the difference
    of two images, plus :func:`kl_printed`. Neither is divided by the number of pixels.

    Args:
        kl_weight: Factor of the KL term; the paper adds it with 1.
        form: ``"divergence"`` or ``"printed"``.
        epsilon: See :func:`kl_divergence` and :func:`kl_printed`.

    Raises:
        ValueError: If the weight is negative, epsilon not positive, or the form another.
    """

    def __init__(
        self,
        kl_weight: float = 1.0,
        form: Literal["divergence", "printed"] = "divergence",
        epsilon: float = EPSILON,
    ) -> None:
        super().__init__()
        if kl_weight < 0 or epsilon <= 0:
            raise ValueError(
                f"kl_weight must be >= 0 and epsilon > 0, got {kl_weight} and {epsilon}"
            )
        if form not in ("divergence", "printed"):
            raise ValueError(f"form must be divergence or printed, got {form!r}")
        self.kl_weight = kl_weight
        self.form = form
        self.epsilon = epsilon

    @property
    def title(self) -> str:
        """Name the loss, such as ``MSE + KL`` (the paper's) or ``MSE + 0.1 KL``."""
        first, suffix = ("MSE", "") if self.form == "divergence" else ("norm", ", as printed")
        if not self.kl_weight:
            return first
        weight = "" if self.kl_weight == 1 else f"{self.kl_weight:g} "
        suffix += "" if self.epsilon == EPSILON else f", epsilon {self.epsilon:g}"
        return f"{first} + {weight}KL{suffix}"

    def forward(
        self, sr: Tensor, hr: Tensor, valid_mask: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Compare two batches of images, ``(n, 1, h, w)`` each, where ``valid_mask`` is true.

        Returns:
            ``{"loss", "mse", "kl"}``, float32 scalars; ``kl`` is unweighted, ``mse`` is the mean
            squared error in both forms.
        """
        difference = sr.float() - hr.float()
        mse = first = image_means(difference.square(), valid_mask).mean()
        if self.form == "divergence":
            kl = kl_divergence(sr, hr, self.epsilon, valid_mask).mean()
        else:
            valid = difference if valid_mask is None else difference * valid_mask
            first = valid.flatten(1).norm(dim=1).mean()
            kl = kl_printed(sr, hr, self.epsilon, valid_mask).mean()
        return {"loss": first + self.kl_weight * kl, "mse": mse.detach(), "kl": kl.detach()}
