import numpy as np
import torch
from torch.nn import functional as F

from fdnn.models.baselines.pursuit import pursue


def test_pursuit_is_greedy_least_squares() -> None:
    torch.manual_seed(0)
    signals, atoms = torch.randn(50, 8), F.normalize(torch.randn(20, 8))
    support, coefficients = pursue(signals, atoms, 3)
    for signal, chosen, found in zip(signals, support, coefficients, strict=True):
        rest, expected = signal.numpy(), []
        for _ in range(3):
            expected.append(int(np.abs(atoms.numpy() @ rest).argmax()))
            used = atoms[expected].numpy().T
            weights = np.linalg.lstsq(used, signal.numpy(), rcond=None)[0]
            rest = signal.numpy() - used @ weights
        assert chosen.tolist() == expected
        np.testing.assert_allclose(found.numpy(), weights, atol=1e-3)


def test_signals_of_few_atoms_are_coded_exactly() -> None:
    torch.manual_seed(0)
    atoms = F.normalize(torch.randn(24, 16))
    support, coefficients = pursue(torch.cat([3 * atoms, torch.zeros(1, 16)]), atoms, 2)
    assert support[:24, 0].tolist() == list(range(24))
    expected = torch.tensor([[3.0, 0.0]]).repeat(24, 1)
    assert torch.allclose(coefficients, torch.cat([expected, torch.zeros(1, 2)]), atol=1e-4)


def test_twin_atoms_do_no_harm() -> None:
    atom = torch.ones(1, 4, dtype=torch.float64) / 2
    support, coefficients = pursue(2 * atom, atom.repeat(3, 1), 3)
    assert sorted(support[0].tolist()) == [0, 1, 2]
    assert torch.allclose(coefficients.sum(), torch.tensor(2.0).double())
