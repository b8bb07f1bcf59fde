import numpy as np
import pytest
import torch

from fdnn.images import luma
from fdnn.inference import upscale, upscale_luma
from fdnn.models import FDNN, Bicubic


@pytest.fixture(scope="module", params=[(2, -1), (3, -1), (3, 4), (4, -1)], ids=str)
def net(request) -> FDNN:
    torch.manual_seed(0)
    scale, place = request.param
    return FDNN(scale, channels=8, upsample_at=place).eval()


@pytest.mark.parametrize(
    ("size", "tile"), [((1, 1), 1), ((7, 5), 2), ((40, 33), 16), ((31, 64), 31)]
)
def test_tiles_equal_the_whole(net, size, tile) -> None:
    lr = torch.rand(1, 1, *size)
    with torch.no_grad():
        whole = net(lr)
    assert torch.allclose(upscale_luma(net, lr, tile), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_keeps_channels_and_depth(net, random, dtype, channels) -> None:
    image = random.integers(0, np.iinfo(dtype).max + 1, (9, 7, *channels), dtype=dtype)
    result = upscale(net, image)
    assert result.dtype == dtype
    assert result.shape == (9 * net.scale, 7 * net.scale, *channels)


def test_colours_and_alpha_stay() -> None:
    image = np.empty((12, 12, 4), np.uint8)
    image[:] = (200, 40, 90, 128)
    assert np.abs(upscale(Bicubic(3), image).astype(int) - (200, 40, 90, 128)).max() <= 1


def test_16_bits_are_not_thrown_away() -> None:
    ramp = np.linspace(20_000, 21_000, 64).astype(np.uint16).reshape(8, 8)
    assert len(np.unique(upscale(Bicubic(2), ramp))) > 100


def test_gray_equals_its_luma_through_the_network(net, random) -> None:
    gray = random.integers(0, 256, (10, 11), dtype=np.uint8)
    lr = torch.from_numpy(luma(gray)).float()[None, None] / 255
    sr = upscale_luma(net, lr)[0, 0].clamp(0, 1).double() * 255
    assert np.abs(upscale(net, gray) - sr.numpy()).max() <= 0.5 + 1e-4


def test_bad_tile(net) -> None:
    with pytest.raises(ValueError, match="tile"):
        upscale_luma(net, torch.zeros(1, 1, 2, 2), tile=0)
