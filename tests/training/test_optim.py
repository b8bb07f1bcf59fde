from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fdnn.training.optim import MuonAdam, orthogonalise, parameter_groups


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 8, 72), (2, 72, 8)])
def test_singular_values_become_about_one(shape: tuple) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
    assert values.min() > 0.3
    assert values.max() < 1.3


def test_keeps_singular_vectors() -> None:
    torch.manual_seed(0)
    matrix = torch.randn(1, 6, 20)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    result = orthogonalise(matrix)
    diagonal = u.mT @ result @ v.mT
    assert torch.allclose(diagonal, torch.diag_embed(diagonal.diagonal(dim1=1, dim2=2)), atol=1e-4)


def test_adam_part_is_torchs_adam() -> None:
    torch.manual_seed(0)
    ours, theirs = nn.Linear(5, 3), nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    a = MuonAdam(ours.parameters(), adam_lr=1e-2)
    b = torch.optim.Adam(theirs.parameters(), lr=1e-2)
    for _ in range(20):
        x = torch.randn(4, 5)
        for net, optimizer in ((ours, a), (theirs, b)):
            optimizer.zero_grad()
            net(x).square().sum().backward()
            optimizer.step()
    assert torch.allclose(ours.weight, theirs.weight, atol=1e-6)


def test_muon_part_is_torchs_muon() -> None:
    """As far as the iteration in bfloat16 that torch's takes lets one see."""
    torch.manual_seed(0)
    kernel = nn.Parameter(torch.randn(8, 6, 3, 3))
    flat = nn.Parameter(kernel.detach().flatten(1).clone())
    before = flat.detach().clone()
    ours = MuonAdam([{"params": [kernel], "convolution": True}], lr=0.1)
    theirs = torch.optim.Muon([flat], lr=0.1, weight_decay=0, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        kernel.grad = torch.randn_like(kernel)
        flat.grad = kernel.grad.flatten(1).clone()
        ours.step()
        theirs.step()
    steps = [(p.detach().flatten() - before.flatten()) for p in (kernel, flat)]
    assert F.cosine_similarity(*steps, dim=0) > 0.999
    assert steps[0].norm() == pytest.approx(float(steps[1].norm()), rel=0.02)


def test_muon_step_has_the_stated_size() -> None:
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(64, 64, 3)
    before = layer.weight.detach().clone()
    optimizer = MuonAdam([layer.weight], lr=1e-2)
    layer(torch.randn(1, 64, 8, 8)).square().mean().backward()
    optimizer.step()
    rms = float((layer.weight.detach() - before).square().mean().sqrt())
    assert rms == pytest.approx(0.2 * 1e-2, rel=0.2)


def test_state_survives_saving() -> None:
    torch.manual_seed(0)

    def step(net: nn.Module, optimizer: MuonAdam) -> None:
        optimizer.zero_grad()
        net(torch.ones(1, 4, 5, 5)).square().mean().backward()
        optimizer.step()

    net = nn.ConvTranspose2d(4, 4, 2)
    optimizer = MuonAdam(net.parameters())
    step(net, optimizer)
    copy = nn.ConvTranspose2d(4, 4, 2)
    copy.load_state_dict(net.state_dict())
    resumed = MuonAdam(copy.parameters())
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))
    step(net, optimizer)
    step(copy, resumed)
    assert torch.equal(net.weight, copy.weight)


def test_without_gradients_nothing_moves() -> None:
    """As after a step that was left out because its loss was NaN."""
    net = nn.Sequential(nn.ConvTranspose2d(4, 4, 2), nn.Conv2d(4, 1, 1))
    before = deepcopy(net.state_dict())
    MuonAdam(parameter_groups(net)).step()
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_bad_learning_rate() -> None:
    with pytest.raises(ValueError, match="above 0"):
        MuonAdam([torch.zeros(1, requires_grad=True)], lr=0)


@pytest.mark.parametrize("wrong", [{"momentum": 1.5}, {"betas": (0.9, 1.0)}, {"eps": -1}])
def test_other_numbers_out_of_range(wrong) -> None:
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        MuonAdam([torch.zeros(1, requires_grad=True)], **wrong)
