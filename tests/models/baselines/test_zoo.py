"""What all networks promise, and the facts of those that FDNN is compared with."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fdnn import models
from fdnn.images.resize import imresize
from fdnn.inference.tiles import upscale_luma
from fdnn.models import (
    DEGREE2,
    DRCN,
    ESCN,
    ESPCN,
    FDNN,
    FSRCNN,
    MSDEPC,
    RED30,
    SML,
    SRCNN,
    VDSR,
    Bicubic,
    FDNNDeep,
    Mixed,
    Network,
)

NETWORKS = {
    "SRCNN": lambda scale: SRCNN(scale, filters=(6, 5)),
    "FSRCNN": lambda scale: FSRCNN(scale, d=6, s=4, m=2),
    "ESPCN": lambda scale: ESPCN(scale, filters=(6, 5)),
    "VDSR": lambda scale: VDSR(scale, layers=5, channels=4),
    "Mixed": lambda scale: Mixed(scale, convolutions=3, layers=5, channels=4),
    "DRCN": lambda scale: DRCN(scale, recursions=3, channels=4),
    "RED30": lambda scale: RED30(scale, half=5, channels=4),
    "DEGREE2": lambda scale: DEGREE2(scale, steps=2, channels=4),
    "ESCN": lambda scale: ESCN(scale, members=2, atoms=6),
    "MSDEPC": lambda scale: MSDEPC(scale, channels=4),
    "SML": lambda scale: SML(scale, layers=3, channels=4, clusters=3, atoms=5),
    "FDNN": lambda scale: FDNN(scale, channels=4),
    "FDNNDeep": lambda scale: FDNNDeep(scale, channels=4, pairs=2),
    "Bicubic": Bicubic,
}
#: Not trained but fitted, and tested in files of their own.
FITTED = {"APlus", "ScSR"}


def make(name: str, scale: int) -> Network:
    torch.manual_seed(0)
    net = NETWORKS[name](scale)
    for p in net.parameters():
        p.data += 0.05 * torch.randn_like(p)  # nothing hides behind a zero
    return net.eval()


def weights(net: nn.Module) -> int:
    """Count the weights of kernels, as papers do."""
    return sum(p.numel() for p in net.parameters() if p.dim() == 4)


def layers(net: nn.Module) -> int:
    return sum(isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for m in net.modules())


def test_every_network_is_here() -> None:
    assert set(NETWORKS) | FITTED == set(models.__all__) - {"Network"}


@pytest.mark.parametrize("scale", [-3, 0, 1, 9])
@pytest.mark.parametrize("name", NETWORKS)
def test_scales_out_of_range_are_refused(name: str, scale: int) -> None:
    with pytest.raises(ValueError, match=rf"scale.*{scale}"):
        NETWORKS[name](scale)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("VDSR", {"channels": 0}),
        ("DRCN", {"channels": 0}),
        ("MSDEPC", {"channels": 0}),
        ("SRCNN", {"filters": [0, 0]}),
        ("ESPCN", {"filters": [0, 4]}),
        ("FDNNDeep", {"channels": 0}),
        ("FDNNDeep", {"pairs": 0}),
        ("FSRCNN", {"s": 0}),
        ("FSRCNN", {"m": -1}),
        ("DEGREE2", {"steps": -1}),
        ("ESCN", {"atoms": 0}),
        ("ESCN", {"stages": -1}),
        ("SML", {"layers": 0}),
        ("SML", {"clusters": 0}),
        ("SML", {"rounds": 0}),
    ],
)
def test_sizes_out_of_range_are_refused(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        getattr(models, name)(3, **arguments)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", NETWORKS)
def test_any_size_grows_by_the_scale(name: str, scale: int) -> None:
    net = make(name, scale)
    with torch.inference_mode():
        for n, h, w in ((1, 1, 1), (2, 3, 7), (1, 12, 9)):
            assert net(torch.rand(n, 1, h, w)).shape == (n, 1, scale * h, scale * w)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "Bicubic"])
def test_context_is_exact(name: str, scale: int) -> None:
    """No output pixel depends on more, and some output pixel depends on as much."""
    net = make(name, scale)
    side = 2 * net.context + 5
    lr = torch.rand(1, 1, side, side, requires_grad=True)
    middle = scale * (side // 2)
    seen = 0
    for row in range(scale):
        net(lr)[0, 0, middle + row].sum().backward()
        rows = lr.grad[0, 0].abs().sum(dim=1).nonzero()[:, 0] - side // 2
        seen = max(seen, int(rows.abs().max()))
        lr.grad = None
    if name == "FDNN":  # rounds each even kernel up
        assert seen <= net.context
    else:
        assert seen == net.context


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "Bicubic"])
def test_gradients_reach_every_parameter(name: str) -> None:
    net = make(name, 3)
    net(torch.rand(2, 1, 12, 12)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_tiles_are_seamless(name: str) -> None:
    net = make(name, 3)
    lr = torch.rand(1, 1, 21, 16)
    with torch.inference_mode():
        whole = net(lr)
        tiled = upscale_luma(net, lr, tile=9)
    torch.testing.assert_close(tiled.float(), whole.float(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_arguments_make_the_same_network(name: str) -> None:
    net = make(name, 3)
    again = type(net)(**net.arguments)
    again.load_state_dict(net.state_dict())
    lr = torch.rand(1, 1, 6, 5)
    assert torch.equal(again.eval()(lr), net(lr))


@pytest.mark.parametrize(
    ("net", "depth", "count", "context"),
    [
        (SRCNN(3), 3, 57_184, 4),  # 9-5-5 there: 57,184; 17 x 17 pixels seen
        (FSRCNN(3), 8, 12_464, 2 + 4 + 1),  # Table 1 there: 12,464
        (FSRCNN(4), 8, 12_464, 2 + 4 + 1),
        (ESPCN(3), 3, 1600 + 18_432 + 288 * 9, 4),
        (VDSR(3), 20, 664_704, 8),  # 41 x 41 pixels seen
        (VDSR(3, layers=10), 10, 2 * 576 + 8 * 36_864, 5),
        (Mixed(3), 10, 2 * 576 + 8 * 36_864, 5),
        (Mixed(3, convolutions=4), 10, 2 * 576 + 8 * 36_864, 5),
        (DRCN(3), 5, 1_774_080, 8),  # five kernels, one of them used 16 times
        # 3 + 16 * 64 + 64 maps in, 64 out; 64 in, 2 out; 66 in, 1 out
        (DEGREE2(3), 20, 9 * (3 * 64 + 17 * 64 * 64 + 64 * 2 + 66), 9),
        (RED30(3), 30, 4_131_072, 12),
        # Four times 4 5x5 filters of the image, 128 of their maps, S, and 128 patches of 5x5
        (ESCN(2), 16, 4 * (100 + 12_800 + 16_384 + 3200), 5),
        (ESCN(4), 16, 4 * (100 + 12_800 + 16_384 + 3200), 7),
        # 2, 4 and 6 deconvolutions behind as many convolutions, a map of each, and one image
        (
            MSDEPC(3),
            6 + 12 + 3 + 1,
            9 * (2 * 32 + 9 * 32**2 + 32 * 64 + 3 * 64**2 + 64 * 32 + 3 * 32**2 + 3 * 32 + 3),
            9,
        ),
        # Clusters and codes are 1x1
        (SML(3), 8 + 2, 576 + 7 * 36_864 + 64 * 16 + 64 * 16 * 32, 21),
    ],
    ids=lambda value: value.title if isinstance(value, Network) else None,
)
def test_facts_of_the_papers(net: Network, depth: int, count: int, context: int) -> None:
    assert layers(net) == depth
    assert weights(net) == count
    assert net.context == context


def test_titles() -> None:
    assert [net.title for net in (SRCNN(2), VDSR(2), VDSR(2, layers=10))] == [
        "SRCNN", "VDSR", "VDSR10",
    ]  # fmt: skip
    assert [Mixed(2, convolutions=i).title for i in (10, 8, 2)] == ["FCNN", "C8D2", "C2D8"]


@pytest.mark.parametrize(
    "net",
    [
        VDSR(3, layers=3),
        Mixed(3, 2, 4),
        RED30(3, half=3),
        DRCN(3, 2, 4),
        DEGREE2(3, 1, 4),
        MSDEPC(3, 4),
        SML(3, 2, 4, 2, 3),
    ],
)
def test_residual_networks_start_from_bicubic(net: Network) -> None:
    """With silent last layers, what is left is MATLAB's enlargement."""
    for p in net.parameters():
        p.data *= 0
    if isinstance(net, DRCN):
        net.shares.data += 1 / 2
    if isinstance(net, MSDEPC):
        net.merge.weight.data[:, :, 1, 1] += 1 / 3
    lr = torch.rand(2, 1, 7, 6)
    expected = imresize(lr.double(), 3).float()
    torch.testing.assert_close(net(lr), expected, atol=1e-6, rtol=0)


def replicated(x: torch.Tensor, layer: nn.Conv2d) -> torch.Tensor:
    """Convolve an image whose border pixels go on beyond it."""
    pixels = layer.weight.shape[-1] // 2
    return F.conv2d(F.pad(x, (pixels,) * 4, "replicate"), layer.weight, layer.bias)


def test_srcnn_by_hand() -> None:
    net, image = make("SRCNN", 2), torch.rand(1, 1, 12, 12)
    x = replicated(replicated(image, net.extract).relu(), net.map).relu()
    torch.testing.assert_close(net.refine(image), replicated(x, net.reconstruct))


def test_espcn_by_hand() -> None:
    net, lr = make("ESPCN", 3), torch.rand(1, 1, 7, 6)
    x = replicated(replicated(lr, net.extract).tanh(), net.map).tanh()
    x = replicated(x, net.reconstruct)
    expected = x.view(3, 3, 7, 6).permute(2, 0, 3, 1).reshape(1, 1, 21, 18)
    torch.testing.assert_close(net(lr), expected)


def test_vdsr_by_hand() -> None:
    net, image = make("VDSR", 2), torch.rand(1, 1, 9, 8)
    *layers, last = net.layers
    x = image
    for layer in layers:
        x = F.conv2d(x, layer.weight, layer.bias, padding=1).relu()
    expected = image + F.conv2d(x, last.weight, last.bias, padding=1)
    torch.testing.assert_close(net.refine(image), expected)


def test_fsrcnn_by_hand() -> None:
    net, lr = make("FSRCNN", 3), torch.rand(1, 1, 7, 6)
    x = lr
    for layer, slope in zip(net.convolutions, net.slopes, strict=True):
        x = replicated(x, layer)
        assert slope.weight.shape == (x.shape[1],)
        x = torch.where(x > 0, x, slope.weight.view(1, -1, 1, 1) * x)
    # Each LR pixel adds a 9x9 patch, whose middle is that of its own 3x3 block.
    large = F.conv_transpose2d(F.pad(x, (1,) * 4, "replicate"), net.upsample.weight, stride=3)
    expected = large[..., 6:-6, 6:-6] + net.upsample.bias
    torch.testing.assert_close(net(lr), expected)


def test_drcn_recursion_starts_as_the_identity() -> None:
    image = torch.rand(1, 4, 5, 5)
    recurse = DRCN(2, recursions=3, channels=4).recurse
    assert torch.equal(recurse(image), image)


def test_drcn_by_hand() -> None:
    net = make("DRCN", 2)
    image = torch.rand(1, 1, 8, 8)
    first, second = net.embed
    h = second(first(image).relu()).relu()
    expected = 0
    for share in net.shares:
        h = net.recurse(h).relu()
        expected = expected + share * (net.reconstruct(net.widen(h).relu()) + image)
    torch.testing.assert_close(net.refine(image), expected)


def test_red30_skips_join_mirror_images() -> None:
    """Silence all deconvolutions from the middle on: only a skip gets past each."""
    net = RED30(2, half=5, channels=4)
    for layer in (net.decode[0], net.decode[1], net.decode[2]):
        layer.weight.data *= 0
    image = torch.rand(1, 1, 8, 8)
    x = image
    for layer in net.encode[:2]:
        x = layer(x).relu()
    expected = image + net.decode[4](net.decode[3](x).relu())
    torch.testing.assert_close(net.refine(image), expected)


def test_degree2_by_passes() -> None:
    """A pair whose second layer is 0 adds nothing, and a last layer of 0 leaves the image."""
    net, image = make("DEGREE2", 2), torch.rand(1, 1, 8, 8)
    whole = net.refine(image)
    with torch.no_grad():
        for p in net.steps[1][1].parameters():
            p.zero_()
    without = net.refine(image)
    assert not torch.allclose(without, whole)
    del net.steps[1]
    torch.testing.assert_close(net.refine(image), without)
    with torch.no_grad():
        for p in net.rec.parameters():
            p.zero_()
    assert torch.equal(net.refine(image), image)


def test_vdsr_at_another_scale_is_the_same_network() -> None:
    net = VDSR(2, layers=3, channels=4)
    assert net.at(4).scale == 4
    shared = zip(net.parameters(), net.at(4).parameters(), strict=True)
    assert all(ours is theirs for ours, theirs in shared)


def test_degree2_sees_edges() -> None:
    """Ramps have a slope of one in one direction and none in the other, times Sobel's weights."""
    ramp = torch.arange(6.0).repeat(5, 1)
    horizontal, vertical = DEGREE2(2, channels=2).edges(ramp[None, None])[0]
    assert torch.equal(horizontal[:, 1:-1], torch.full((5, 4), 8.0))
    assert torch.equal(vertical, torch.zeros(5, 6))
