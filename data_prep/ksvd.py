"""K-SVD: a dictionary in which every signal is a sum of a few atoms.

Aharon, Elad, Bruckstein (2006), in the approximate form of Rubinstein, Zibulevsky, Elad (2008):
signals are coded by orthogonal matching pursuit, then each atom and its coefficients are
improved by one step of alternating least squares instead of an SVD.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Signals that are coded at once.
BLOCK = 2048

#: An atom used by fewer signals than this is replaced.
FEWEST = 4

#: Of two atoms whose correlation exceeds this, one is replaced.
ALIKE = 0.99


def pursue(signals: Tensor, atoms: Tensor, sparsity: int) -> tuple[Tensor, Tensor]:
    """Code signals by orthogonal matching pursuit.

    Args:
        signals: ``(n, d)``.
        atoms: ``(m, d)``, unit vectors.
        sparsity: Atoms a signal.

    Returns:
        Indices of atoms and their coefficients, both ``(n, sparsity)``. Once a signal is coded
        exactly, what is left of its coefficients is 0.
    """
    chosen, coefficients = [], []
    for block in signals.split(BLOCK):
        rest = block
        support = torch.empty(len(block), 0, dtype=torch.long)
        for _ in range(sparsity):
            correlation = (rest @ atoms.T).abs_().scatter_(1, support, -1)
            support = torch.cat([support, correlation.max(dim=1, keepdim=True).indices], dim=1)
            used = atoms[support]
            gram = used @ used.mT
            # Atoms may be collinear; the shift is far below what float32 resolves otherwise.
            gram.diagonal(dim1=1, dim2=2).add_(1e-6)
            weights = torch.linalg.solve(gram, used @ block[..., None])
            rest = block - (used.mT @ weights)[..., 0]
        chosen.append(support)
        coefficients.append(weights[..., 0])
    return torch.cat(chosen), torch.cat(coefficients)


def ksvd(signals: Tensor, atoms: int, sparsity: int, iterations: int, seed: int) -> Tensor:
    """Learn a dictionary.

    Args:
        signals: ``(n, d)``, n at least ``atoms``.
        atoms: Dictionary size.
        sparsity: Atoms a signal.
        iterations: Rounds of coding and improvement.
        seed: Decides which signals the atoms start from.

    Returns:
        ``(atoms, d)``, unit vectors.
    """
    order = torch.randperm(len(signals), generator=torch.Generator().manual_seed(seed))
    order = order[signals[order].norm(dim=1) > 1e-6]
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
    groups = places.split(support.flatten().bincount(minlength=len(dictionary)).tolist())
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
