import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fdnn.models.fdnn import FDNN, KERNELS
from fdnn.models.literal import LiteralFDNN

PLACES = [
    (scale, i) for scale, kernels in KERNELS.items() for i, k in enumerate(kernels) if k == scale
]


def deconvolutions(net: nn.Module) -> list[nn.ConvTranspose2d]:
    return [m for m in net.modules() if isinstance(m, nn.ConvTranspose2d)]


@pytest.mark.parametrize("size", [(1, 1), (5, 8), (17, 13)])
@pytest.mark.parametrize(("scale", "place"), PLACES)
def test_equals_literal_transposed_convolutions(scale: int, place: int, size: tuple) -> None:
    torch.manual_seed(0)
    net = FDNN(scale, upsample_at=place)
    for layer in deconvolutions(net):
        nn.init.normal_(layer.bias, std=0.1)
    literal = LiteralFDNN(net)
    assert {k: v.shape for k, v in literal.state_dict().items()} == {
        k: v.shape for k, v in net.state_dict().items()
    }
    lr = torch.rand(2, 1, *size)
    assert net(lr).shape == (2, 1, scale * size[0], scale * size[1])
    assert torch.allclose(net(lr), literal(lr), atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_gradients_equal_the_literal_networks(scale: int) -> None:
    torch.manual_seed(0)
    net = FDNN(scale).to(memory_format=torch.channels_last)
    literal = LiteralFDNN(net)
    lr, hr = torch.rand(2, 1, 7, 6), torch.rand(2, 1, 7 * scale, 6 * scale)
    for network in (net, literal):
        F.mse_loss(network(lr), hr).backward()
    theirs = dict(literal.named_parameters())
    for name, p in net.named_parameters():
        assert torch.allclose(p.grad, theirs[name].grad, atol=1e-6, rtol=1e-3), name


def test_facts_of_the_paper() -> None:
    # Sec. 4.1.5; the counts are those of ten layers and the residual channel's two.
    for scale, parameters in {2: 275_522, 3: 234_882, 4: 370_498}.items():
        net = FDNN(scale)
        assert sum(p.numel() for p in net.parameters()) == parameters
        assert len(deconvolutions(net)) == 12
        assert 1 + len(net.restoration()) + 1 == 10
    assert KERNELS[3] == (2, 2, 2, 3, 3, 3, 3, 3)
    assert KERNELS[4] == (2, 2, 3, 3, 4, 4, 4, 4)
    assert list(FDNN(4).restore) == ["2x", "3x", "4x"]
    assert [p.shape[2] for p in FDNN(3).parameters() if p.dim() == 4] == [
        1, 2, 2, 2, 3, 3, 3, 3, 3, 1, 3, 1,
    ]  # fmt: skip


def test_glorot_uniform() -> None:
    torch.manual_seed(0)
    for layer in deconvolutions(FDNN(3).requires_grad_(False)):
        fans = (layer.in_channels + layer.out_channels) * layer.kernel_size[0] ** 2
        limit = (6 / fans) ** 0.5  # Eq. 25
        assert layer.weight.abs().max() <= limit
        if layer.weight.numel() > 1000:
            assert layer.weight.std() == pytest.approx(limit / 3**0.5, rel=0.03)
            assert layer.weight.abs().max() > 0.99 * limit
        assert not layer.bias.any()


def test_spread_init_passes_a_signal() -> None:
    torch.manual_seed(0)
    layer = FDNN(3, init="spread").restoration()[3]
    x = torch.rand(1, 64, 9, 9)
    correlation = torch.corrcoef(torch.stack([x.flatten(), layer(x).flatten()]))[0, 1]
    assert correlation > 0.5


def test_spread_init_bends_at_every_brightness() -> None:
    torch.manual_seed(0)
    enhance = FDNN(3, init="spread").enhance
    kinks = (-enhance.bias / enhance.weight.flatten()).sort().values
    assert ((kinks > 0) & (kinks < 1)).all()
    assert kinks.diff().max() < 0.15
    assert 16 < (enhance.weight > 0).sum() < 48


def test_even_kernels_do_not_drift() -> None:
    """With all taps equal, an impulse spreads to both sides alike for an even number of layers."""
    net = FDNN(2, kernels=(2, 2, 2, 2, 2), channels=2)
    x = torch.zeros(1, 2, 15, 15)
    x[..., 7, 7] = 1
    for layer in net.restoration()[:-1]:
        nn.init.constant_(layer.weight, 1)
        x = layer(x)
    rows = x[0, 0].sum(dim=1)
    assert torch.allclose(rows, rows.flip(0))


def test_context_is_what_the_network_sees() -> None:
    for scale, place in PLACES:
        net = FDNN(scale, channels=4, upsample_at=place)
        side = 2 * net.context + 3
        lr = torch.rand(1, 1, side, side, requires_grad=True)
        middle = scale * (side // 2)
        net(lr)[0, 0, middle : middle + scale, middle : middle + scale].sum().backward()
        seen = lr.grad[0, 0].nonzero() - side // 2
        assert seen.abs().max() <= net.context


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 5}, "one of"),
        ({"scale": 3, "upsample_at": 0}, "3x3 kernel"),
        ({"scale": 3, "upsample_at": 8}, "upsample_at=8"),
        ({"scale": 2, "kernels": [2, 3, 2]}, "side by side"),
    ],
)
def test_impossible_networks(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FDNN(**arguments)
