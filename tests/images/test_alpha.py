import numpy as np
import pytest
import torch

from fdnn.images.alpha import fill_hidden
from fdnn.inference.pretrained import load
from fdnn.inference.tiles import upscale_pixels
from fdnn.models import FDNN, Bicubic


def disc(random, dtype=np.uint8) -> np.ndarray:
    """One colour with a soft edge; junk where nothing can be seen."""
    y, x = np.mgrid[:30, :34] - 15
    alpha = np.clip(10.5 - np.hypot(y, x), 0, 1)
    peak = np.iinfo(dtype).max
    image = random.integers(0, peak + 1, (30, 34, 4), dtype=dtype)
    image[alpha > 0, :3] = (peak * np.array([0.8, 0.5, 0.1])).astype(dtype)
    image[..., 3] = (alpha * peak + 0.5).astype(dtype)
    return image


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32, torch.float16])
def test_hidden_colour_is_replaced_by_the_nearest(dtype) -> None:
    image = torch.tensor([[[9, 7, 5, 3, 1]], [[0, 0, 200, 3, 100]]]).to(dtype)
    expected = torch.tensor([[[5, 5, 5, 5, 1]], [[0, 0, 200, 3, 100]]])
    filled = fill_hidden(image)
    # The faint pixel in the middle may take over either neighbour's.
    assert filled[0, 0, 3].item() in (5, 1)
    expected[0, 0, 3] = filled[0, 0, 3].item()
    assert filled.dtype == dtype
    assert torch.equal(filled.float(), expected.float())


def test_nothing_to_do() -> None:
    for alpha in (0, 255):
        image = torch.full((2, 3, 4), alpha, dtype=torch.uint8)
        assert fill_hidden(image) is image


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", ["bicubic", "fdnn_x3"])
def test_no_fringes(random, name, dtype) -> None:
    net = Bicubic(3) if name == "bicubic" else load(name)
    image = disc(random, dtype)
    sr = upscale_pixels(net, image).astype(float) / np.iinfo(dtype).max
    seen = sr[..., 3] > 0.01
    flat = upscale_pixels(net, np.full((12, 12, 3), image[15, 15, :3], dtype))[18, 18]
    assert np.abs(sr[seen][:, :3] - flat / np.iinfo(dtype).max).max() < 0.03
    # Junk that cannot be seen makes no difference to what can.
    other = image.copy()
    other[other[..., 3] == 0] = 0
    again = upscale_pixels(net, other)
    assert np.array_equal(again, upscale_pixels(net, image))


def test_colours_of_different_weight_mix_by_their_alpha() -> None:
    image = np.zeros((8, 8, 4))
    image[:, :4] = (0.6, 0.3, 0.3, 0.8)
    image[:, 4:] = (0.3, 0.6, 0.4, 0.3)
    sr = upscale_pixels(Bicubic(2), image)
    expected = upscale_pixels(Bicubic(2), image[..., :3] * image[..., 3:])
    assert np.abs(sr[..., :3] * sr[..., 3:] - expected).max() < 1e-5


def test_opaque_alpha_changes_nothing(random) -> None:
    torch.manual_seed(0)
    net = FDNN(2, channels=4).eval()
    rgb = random.integers(0, 256, (9, 8, 3), dtype=np.uint8)
    rgba = np.dstack([rgb, np.full((9, 8), 255, np.uint8)])
    assert np.array_equal(upscale_pixels(net, rgba)[..., :3], upscale_pixels(net, rgb))
