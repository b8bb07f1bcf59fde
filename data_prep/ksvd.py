"""K-SVD: a dictionary in which every signal is a sum of a few atoms.

Aharon, Elad, Bruckstein (2006), in the approximate form of Rubinstein, Zibulevsky, Elad (2008):
signals are coded by orthogonal matching pursuit, then each atom and its coefficients are
improved by one step of alternating least squares instead of an SVD.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fdnn.files.errors import UserError
from fdnn.models.baselines.pursuit import pursue

#: An atom used by fewer signals than this is replaced.
FEWEST = 4

#: Of two atoms whose correlation exceeds this, one is replaced.
ALIKE = 0.99


def ksvd(signals: Tensor, atoms: int, sparsity: int, iterations: int, seed: int) -> Tensor:
    """Learn a dictionary.

    Args:
        signals: ``(n, d)``, of which at least ``atoms`` are not zero.
        atoms: Dictionary size.
        sparsity: Atoms a signal.
        iterations: Rounds of coding and improvement.
        seed: Decides which signals the atoms start from.

    Returns:
        ``(atoms, d)``, unit vectors.

    Raises:
        UserError: If fewer signals than atoms are not zero, as those of flat patches are.
    """
    order = torch.randperm(len(signals), generator=torch.Generator().manual_seed(seed))
    order = order[signals[order].norm(dim=1) > 1e-6]
    if len(order) < atoms:
        raise UserError(
            f"{len(order):,} patches are too few for {atoms:,} atoms (flat ones do not count); "
            "give more or larger images"
        )
    dictionary = torch.nn.functional.normalize(signals[order[:atoms]])
    for _ in range(iterations):
        support, coefficients = pursue(signals, dictionary, sparsity)
        _improve(signals, dictionary, support, coefficients)
        _replace(signals, dictionary, support, coefficients)
    return dictionary


def _improve(signals: Tensor, dictionary: Tensor, support: Tensor, coefficients: Tensor) -> None:
    """Fit each atom, then its coefficients, to what the others leave; in place."""
    rest = signals - (coefficients[:, None] @ dictionary[support])[:, 0]
    sparsity = support.shape[1]
    places = support.flatten().argsort(stable=True)
    sizes = support.flatten().bincount(minlength=len(dictionary)).tolist()
    groups = torch.split(places, sizes)
    flat = coefficients.view(-1)
    for atom, group in enumerate(groups):
        if not len(group):
            continue
        users, weights = group // sparsity, flat[group]
        alone = rest[users] + weights[:, None] * dictionary[atom]
        direction = weights @ alone
        if direction.norm() == 0:
            continue
        dictionary[atom] = direction / direction.norm()
        flat[group] = alone @ dictionary[atom]
        rest[users] = alone - flat[group][:, None] * dictionary[atom]


def _replace(signals: Tensor, dictionary: Tensor, support: Tensor, coefficients: Tensor) -> None:
    """Put the worst coded signals in place of atoms that are idle or twins; in place."""
    errors = (signals - (coefficients[:, None] @ dictionary[support])[:, 0]).norm(dim=1)
    worst = errors.argsort(descending=True, stable=True)
    used = support[coefficients.abs() > 1e-7].bincount(minlength=len(dictionary))
    alike = (dictionary @ dictionary.T).abs().triu(diagonal=1).amax(dim=1) > ALIKE
    spare = (alike | (used < FEWEST)).nonzero()[:, 0]
    dictionary[spare] = torch.nn.functional.normalize(signals[worst[: len(spare)]])
