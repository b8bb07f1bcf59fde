import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d
from torch.nn import functional as F

from fdnn.images.resize import imresize
from fdnn.inference.tiles import upscale_luma
from fdnn.models import ScSR
from fdnn.models.baselines import scsr
from fdnn.models.baselines.pursuit import pursue
from fdnn.models.baselines.scsr import gradients

#: First- and second-order differences.
TAPS = ([0, -1, 0, 1, 0], [1, 0, -2, 0, 1])


def randomised(scale: int) -> ScSR:
    torch.manual_seed(scale)
    net = ScSR(scale, atoms=12, sparsity=2).eval()
    net.low.copy_(F.normalize(torch.randn(net.low.shape)))
    net.high.copy_(torch.randn(net.high.shape) / 10)
    return net


def test_facts_of_the_paper() -> None:
    for scale in (2, 3, 4):
        net = ScSR(scale)
        assert net.low.shape == (1024, 144)  # four filters on 6x6
        assert net.high.shape == (1024, (3 * scale) ** 2)
        assert not any(p.requires_grad for p in net.parameters())


def test_gradients_are_scipys_correlations(random) -> None:
    image = random.random((9, 12))
    expected = np.stack([correlate1d(image, t, axis) for axis in (1, 0) for t in TAPS])
    found = gradients(torch.from_numpy(image)[None, None])[0]
    np.testing.assert_allclose(found.numpy(), expected[:, 2:-2, 2:-2], atol=1e-12)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_agrees_with_the_lr_image(scale) -> None:
    """What back-projection is for: shrunk again, the result is the LR image."""
    net = randomised(scale)
    lr = torch.rand(2, 1, 9, 12)
    sr = net(lr)
    assert sr.shape == (2, 1, 9 * scale, 12 * scale)
    away = (imresize(sr.double(), 1 / scale) - lr).square().mean().sqrt()
    net.high.zero_()
    assert away < 0.05
    assert (net(lr) - sr).abs().max() > 0.01  # and it is not bicubic's alone


@pytest.mark.parametrize("scale", [2, 3])
def test_equals_patch_by_patch(scale, monkeypatch) -> None:
    """The method as its paper words it, one patch at a time, before back-projection."""
    monkeypatch.setattr(scsr, "ROUNDS", 0)
    net = randomised(scale)
    lr = torch.rand(1, 1, 4, 6)
    middle = np.pad(imresize(lr[0, 0].double(), 2).numpy(), 6, mode="edge")
    maps = np.stack([correlate1d(middle, taps, axis) for axis in (1, 0) for taps in TAPS])
    maps = maps[:, 2:-2, 2:-2]
    side = 3 * scale
    large = np.pad(imresize(lr[0, 0].double(), scale).numpy(), 2 * scale, mode="edge")
    total, count = np.zeros_like(large), np.zeros_like(large)
    for y in range(6):
        for x in range(8):
            feature = maps[:, 2 * y : 2 * y + 6, 2 * x : 2 * x + 6].ravel()
            used, weights = pursue(torch.from_numpy(feature)[None], net.low.double(), 2)
            patch = np.s_[y * scale : y * scale + side, x * scale : x * scale + side]
            texture = (weights[0] @ net.high.double()[used[0]]).numpy().reshape(side, side)
            total[patch] += texture + large[patch].mean()
            count[patch] += 1
    inner = np.s_[2 * scale : -2 * scale, 2 * scale : -2 * scale]
    assert (count[inner] == 9).all()
    np.testing.assert_allclose(net(lr)[0, 0].numpy(), (total / count)[inner], atol=1e-5)


def test_tiles_equal_the_whole() -> None:
    net = randomised(2)
    lr = torch.rand(1, 1, 40, 70)
    assert torch.allclose(upscale_luma(net, lr, 16), net(lr), atol=1e-5)


def test_context_is_what_the_network_sees() -> None:
    net = randomised(2)
    side = 2 * net.context + 9
    lr = torch.rand(1, 1, side, side)
    changed = lr.clone()
    changed[..., side // 2, side // 2] += 0.5
    seen = (net(lr) != net(changed))[0, 0].nonzero() // 2 - side // 2
    assert 5 < seen.abs().max() <= net.context


@pytest.mark.parametrize(("atoms", "sparsity"), [(0, 1), (4, 0)])
def test_impossible_codes_are_refused(atoms: int, sparsity: int) -> None:
    with pytest.raises(
        ValueError, match=f"atoms={atoms} and sparsity={sparsity} must be 1 or more"
    ):
        ScSR(3, atoms, sparsity)
