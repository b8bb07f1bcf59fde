import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d

from fdnn.images.resize import imresize
from fdnn.inference.tiles import upscale_luma
from fdnn.models import APlus
from fdnn.models.baselines.aplus import gradients


def randomised(scale: int, features: int = 5, atoms: int = 7) -> APlus:
    torch.manual_seed(scale)
    net = APlus(scale, features, atoms).eval()
    for p in net.parameters():
        p.copy_(torch.randn(p.shape))
    return net


def test_facts_of_the_paper() -> None:
    for scale, features in ((2, 24), (3, 30), (4, 31)):
        net = APlus(scale, features)
        side = 3 * scale
        assert net.projection.shape == (features, 4, side, side)
        assert net.anchors.shape == (1024, features)
        assert net.regressors.shape == (1024, side**2, features)
        assert not any(p.requires_grad for p in net.parameters())


@pytest.mark.parametrize("reach", [2, 3, 4])
def test_gradients_are_scipys_correlations(random, reach) -> None:
    image = random.random((20, 17))
    first = np.zeros(2 * reach + 1)
    first[reach - reach // 2], first[reach + reach - reach // 2] = -1, 1
    second = np.zeros(2 * reach + 1)
    second[[0, reach, -1]] = 0.5, -1, 0.5
    # scipy's axis 1 runs along a row.
    expected = [correlate1d(image, taps, axis) for taps in (first, second) for axis in (1, 0)]
    inner = np.stack(expected)[:, reach:-reach, reach:-reach]
    found = gradients(torch.from_numpy(image)[None, None], reach)[0]
    np.testing.assert_allclose(found.numpy(), inner, atol=1e-12)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_equals_patch_by_patch(scale) -> None:
    """The method as its paper words it, one patch at a time."""
    net = randomised(scale)
    lr = torch.rand(2, 1, 4, 6)
    sr = net(lr)
    assert sr.shape == (2, 1, 4 * scale, 6 * scale)
    assert sr.dtype == lr.dtype
    side = 3 * scale
    projection = net.projection.reshape(5, -1).double().numpy()
    for image, result in zip(lr, sr, strict=True):
        bicubic = imresize(image[0].double(), scale)
        large = np.pad(bicubic.numpy(), 3 * scale, mode="edge")
        maps = gradients(torch.from_numpy(large)[None, None], scale)[0].numpy()
        total = np.zeros(maps.shape[1:])
        count = np.zeros(maps.shape[1:])
        for y in range(0, maps.shape[1] - side + 1, scale):
            for x in range(0, maps.shape[2] - side + 1, scale):
                feature = projection @ maps[:, y : y + side, x : x + side].ravel()
                nearest = np.abs(net.anchors.double().numpy() @ feature).argmax()
                patch = net.regressors[nearest].double().numpy() @ feature
                total[y : y + side, x : x + side] += patch.reshape(side, side)
                count[y : y + side, x : x + side] += 1
        inner = np.s_[2 * scale : -2 * scale, 2 * scale : -2 * scale]
        assert (count[inner] == 9).all()
        expected = bicubic.numpy() + (total / count)[inner]
        np.testing.assert_allclose(result[0].numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_tiles_equal_the_whole(scale) -> None:
    net = randomised(scale)
    lr = torch.rand(1, 1, 20, 33)
    assert torch.allclose(upscale_luma(net, lr, 8), net(lr), atol=1e-4, rtol=1e-5)


def test_context_is_what_the_network_sees() -> None:
    net = randomised(3)
    side = 2 * net.context + 9
    lr = torch.rand(1, 1, side, side)
    changed = lr.clone()
    changed[..., side // 2, side // 2] += 0.5
    seen = (net(lr) != net(changed))[0, 0].nonzero() // 3 - side // 2
    assert seen.abs().max() == net.context


def test_a_flat_image_stays_flat() -> None:
    net = randomised(4)
    lr = torch.full((1, 1, 1, 3), 0.25)
    assert torch.allclose(net(lr), torch.full((1, 1, 4, 12), 0.25), atol=1e-6)


@pytest.mark.parametrize(("features", "atoms"), [(0, 4), (4, 0)])
def test_empty_dictionaries_are_refused(features: int, atoms: int) -> None:
    with pytest.raises(ValueError, match=f"features={features} and atoms={atoms} must be 1 or"):
        APlus(3, features, atoms)
