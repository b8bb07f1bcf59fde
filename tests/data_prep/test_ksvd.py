import pytest
import torch
from torch.nn import functional as F

from fdnn.files.errors import UserError
from ksvd import ksvd


def planted(signals: int = 2000, sparsity: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Signals that are sums of few of 24 atoms, and the atoms."""
    random = torch.Generator().manual_seed(1)
    atoms = F.normalize(torch.randn(24, 16, generator=random))
    support = torch.rand(signals, 24, generator=random).topk(sparsity).indices
    weights = 1 + torch.rand(signals, sparsity, generator=random)
    return (weights[:, None] @ atoms[support])[:, 0], atoms


def test_finds_the_atoms_that_signals_were_made_of() -> None:
    signals, atoms = planted()
    found = ksvd(signals, 24, 2, iterations=25, seed=0)
    assert torch.allclose(found.norm(dim=1), torch.ones(24), atol=1e-5)
    nearest = (atoms @ found.T).abs().amax(dim=1)
    assert (nearest > 0.99).float().mean() > 0.8
    start = ksvd(signals, 24, 2, iterations=0, seed=0)
    assert ((atoms @ start.T).abs().amax(dim=1) > 0.99).float().mean() < 0.2


def test_the_seed_decides() -> None:
    signals, _ = planted(500)
    one, again, other = (ksvd(signals, 24, 2, iterations=2, seed=s) for s in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_flat_patches_do_not_count() -> None:
    signals = torch.cat([torch.zeros(20, 9), torch.eye(9)[:3]])
    with pytest.raises(UserError, match=r"^3 patches are too few for 4 atoms"):
        ksvd(signals, 4, 1, 1, 0)
