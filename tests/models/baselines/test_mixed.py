import copy

import pytest
import torch
from torch.nn import functional as F

from fdnn.models import Mixed
from fdnn.training.optim import MuonAdam, parameter_groups


def twin(net: Mixed, convolutions: int) -> Mixed:
    """Make the same function with another number of convolutions."""
    other = Mixed(**net.arguments | {"convolutions": convolutions})
    for ours, theirs in zip(net.layers, other.layers, strict=True):
        kernel = ours.weight.data
        if type(ours) is not type(theirs):
            kernel = kernel.transpose(0, 1).flip(2, 3)
        theirs.weight.data.copy_(kernel)
        theirs.bias.data.copy_(ours.bias.data)
    return other


def test_fcnn_by_hand() -> None:
    torch.manual_seed(0)
    net = Mixed(2, convolutions=4, layers=4, channels=6)
    image = torch.rand(1, 1, 9, 8)
    *layers, last = net.layers
    x = image
    for layer in layers:
        x = F.elu(F.conv2d(x, layer.weight, layer.bias, padding=1))
    expected = image + F.conv2d(x, last.weight, last.bias, padding=1)
    torch.testing.assert_close(net.refine(image), expected)


@pytest.mark.parametrize("optimizer", ["MuonAdam", "Adam"])
def test_deconvolutions_train_like_convolutions(optimizer: str) -> None:
    """Rows of Table 4 that start as the same function remain the same function."""
    torch.manual_seed(0)
    fcnn = Mixed(2, convolutions=5, layers=5, channels=6)
    nets = [fcnn, twin(fcnn, 3), twin(fcnn, 0)]
    assert [net.title for net in nets] == ["FCNN", "C3D2", "C0D5"]
    before = copy.deepcopy(fcnn)
    lr, hr = torch.rand(2, 1, 9, 8), torch.rand(2, 1, 18, 16)
    for net in nets:
        torch.testing.assert_close(net(lr), fcnn(lr))
    make = MuonAdam if optimizer == "MuonAdam" else torch.optim.Adam
    for net in nets:
        update = make(parameter_groups(net), lr=1e-3)
        for _ in range(4):
            update.zero_grad()
            F.mse_loss(net(lr), hr).backward()
            update.step()
    assert not torch.allclose(before(lr), fcnn(lr), atol=1e-3)
    for net in nets[1:]:
        torch.testing.assert_close(net(lr), nets[0](lr), atol=2e-5, rtol=0)


def test_glorot_uniform() -> None:
    torch.manual_seed(0)
    for layer in Mixed(3, convolutions=5).layers:
        limit = (6 / (9 * sum(layer.weight.shape[:2]))) ** 0.5  # Eq. 25
        assert 0.95 * limit < layer.weight.abs().max() <= limit
        assert not layer.bias.any()


@pytest.mark.parametrize("arguments", [{"convolutions": 11}, {"convolutions": -1}, {"layers": 1}])
def test_impossible_numbers(arguments: dict) -> None:
    with pytest.raises(ValueError, match="convolutions must be 0 to layers"):
        Mixed(3, **arguments)
