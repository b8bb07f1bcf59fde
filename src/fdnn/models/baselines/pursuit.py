"""Orthogonal matching pursuit: signals as sums of few atoms, greedily (Pati et al. 1993)."""

from __future__ import annotations

import torch
from torch import Tensor

#: Signals that are coded at once.
BLOCK = 2048

#: Added to the diagonal of Gram matrices, whose diagonals are 1: atoms may be collinear.
SHIFT = 1e-6


def pursue(signals: Tensor, atoms: Tensor, sparsity: int) -> tuple[Tensor, Tensor]:
    """Code signals: take the atom that correlates most with what is left, refit, repeat.

    Args:
        signals: ``(n, d)``.
        atoms: ``(m, d)``, unit vectors.
        sparsity: Atoms a signal, at most m.

    Returns:
        Indices of atoms and their coefficients, both ``(n, sparsity)``. Once a signal is coded
        exactly, what is left of its coefficients is 0.
    """
    chosen, coefficients = [], []
    for block in torch.split(signals, BLOCK):
        rest = block
        support = torch.empty(len(block), 0, dtype=torch.long, device=block.device)
        for _ in range(sparsity):
            correlation = (rest @ atoms.T).abs_().scatter_(1, support, -1)
            support = torch.cat([support, correlation.max(dim=1, keepdim=True).indices], dim=1)
            used = atoms[support]
            gram = used @ used.mT
            gram.diagonal(dim1=1, dim2=2).add_(SHIFT)
            weights = torch.linalg.solve(gram, used @ block[..., None])
            rest = block - (used.mT @ weights)[..., 0]
        chosen.append(support)
        coefficients.append(weights[..., 0])
    return torch.cat(chosen), torch.cat(coefficients)
