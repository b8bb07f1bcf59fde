import numpy as np
import pytest
import torch

from fdnn.images.luma import luma
from fdnn.inference.tiles import full_float32, pieces, upscale_luma, upscale_pixels, upscale_planes
from fdnn.models import FDNN, Bicubic

SIZES = [(1, 1), (1, 9), (7, 5), (40, 33), (31, 64)]


@pytest.fixture(scope="module", params=[(2, -1), (3, -1), (3, 4), (4, -1)], ids=str)
def net(request) -> FDNN:
    torch.manual_seed(0)
    scale, place = request.param
    return FDNN(scale, channels=8, upsample_at=place, init="spread").eval()


@pytest.mark.parametrize("tile", [3, 16, 31, 64])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_tiles_equal_the_whole(net, size, tile) -> None:
    lr = torch.rand(1, 1, *size)
    with torch.no_grad():
        whole = net(lr)
    assert torch.allclose(upscale_luma(net, lr, tile), whole, atol=1e-5, rtol=0)


def test_tiles_of_one_pixel(net) -> None:
    lr = torch.rand(1, 1, 7, 5)
    with torch.no_grad():
        assert torch.allclose(upscale_luma(net, lr, 1), net(lr), atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_tiles_equal_the_whole_in_colour(net, random, size, channels) -> None:
    image = torch.from_numpy(random.random((channels, *size), dtype=np.float32))
    if channels in {2, 4}:
        image[-1] *= image[-1] > 0.3
    whole = upscale_planes(net, image, tile=64)
    assert torch.allclose(upscale_planes(net, image, tile=7), whole, atol=1e-5, rtol=0)


def test_pieces_cover_the_result_once() -> None:
    times = np.zeros((3 * 10, 3 * 7), int)
    for piece in pieces(10, 7, tile=4, margin=2, scale=3):
        times[piece.sr] += 1
        height, width = (s.stop - s.start for s in piece.lr)
        assert piece.inner[0].stop <= 3 * height
        assert piece.inner[1].stop <= 3 * width
    assert (times == 1).all()


@pytest.mark.parametrize("channels", [(), (1,), (2,), (3,), (4,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_keeps_channels_and_depth(net, random, dtype, channels) -> None:
    image = random.integers(0, np.iinfo(dtype).max + 1, (9, 7, *channels), dtype=dtype)
    result = upscale_pixels(net, image)
    assert result.dtype == dtype
    assert result.shape == (9 * net.scale, 7 * net.scale, *channels)


def test_colours_and_alpha_stay() -> None:
    image = np.empty((12, 12, 4), np.uint8)
    image[:] = (200, 40, 90, 128)
    assert np.abs(upscale_pixels(Bicubic(3), image).astype(int) - (200, 40, 90, 128)).max() <= 1


def test_16_bits_are_not_thrown_away() -> None:
    ramp = np.linspace(20_000, 21_000, 64).astype(np.uint16).reshape(8, 8)
    assert len(np.unique(upscale_pixels(Bicubic(2), ramp))) > 100


def test_gray_equals_its_luma_through_the_network(net, random) -> None:
    gray = random.integers(0, 256, (10, 11), dtype=np.uint8)
    lr = torch.from_numpy(luma(gray)).float()[None, None] / 255
    sr = upscale_luma(net, lr)[0, 0].clamp(0, 1).double() * 255
    assert np.abs(upscale_pixels(net, gray) - sr.numpy()).max() <= 0.5 + 1e-4


def test_luma_of_colour_is_the_networks(random) -> None:
    torch.manual_seed(0)
    net = Bicubic(3)
    rgb = (random.random((9, 8, 3)) * 0.4 + 0.3).astype(np.float64)
    y = (luma((rgb * 65535 + 0.5).astype(np.uint16)) / 255).astype(np.float32)
    expected = net(torch.from_numpy(y)[None, None])[0, 0].numpy()
    sr = upscale_pixels(net, rgb)
    weights = np.array([65.481, 128.553, 24.966]) / 255
    assert np.abs(sr @ weights + 16 / 255 - expected).max() < 1e-4


def test_bad_tile_and_shape(net) -> None:
    for tile in (0, 1.5, 2.0, float("inf"), None):
        with pytest.raises(ValueError, match=f"whole number, at least 1, got {tile}"):
            upscale_luma(net, torch.zeros(1, 1, 2, 2), tile=tile)
    for tile, shape in ((0, (1, 2, 2)), (8, (5, 2, 2)), (8, (1, 0, 2)), (8, (2, 2))):
        with pytest.raises(ValueError, match=r"tile must|1 to 4 channels"):
            upscale_planes(net, torch.zeros(shape), tile=tile)


def test_an_image_is_magnified_in_full_float32_whatever_the_caller_uses() -> None:
    net = FDNN(2, channels=8)
    image = torch.rand(1, 9, 8)
    expected = upscale_planes(net, image)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(upscale_planes(net, image), expected)


@pytest.mark.filterwarnings("ignore:User provided device_type")
@pytest.mark.parametrize("before", ["none", "tf32", "ieee"])
def test_tf32_is_off_on_a_gpu_and_as_before_afterwards(before) -> None:
    switch = torch.backends.cudnn.conv
    default = switch.fp32_precision
    switch.fp32_precision = before
    try:
        with full_float32(torch.device("cuda")):
            assert switch.fp32_precision == "ieee"
        assert switch.fp32_precision == before
    finally:
        switch.fp32_precision = default


def test_tf32_returns_when_the_last_thread_leaves():
    switch, cuda = torch.backends.cudnn.conv, torch.device("cuda")
    before = switch.fp32_precision
    switch.fp32_precision = "tf32"
    try:
        first, second = full_float32(cuda), full_float32(cuda)
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert switch.fp32_precision == "ieee"
        second.__exit__(None, None, None)
        assert switch.fp32_precision == "tf32"
    finally:
        switch.fp32_precision = before
