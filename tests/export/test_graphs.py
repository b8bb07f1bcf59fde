import numpy as np
import pytest
import torch

from fdnn.export.graphs import RGB, Luma, build
from fdnn.images.luma import rgb_to_ycbcr, ycbcr_to_rgb
from fdnn.images.resize import imresize
from fdnn.models import FDNN

SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (4, 4), (33, 50)]


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", SIZES)
def test_luma_is_the_network(scale, size) -> None:
    net = FDNN(scale, channels=4, init="spread").eval()
    lr = torch.rand(2, 1, *size)
    with torch.inference_mode():
        torch.testing.assert_close(build(net, "luma")(lr), net(lr), atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", SIZES)
def test_rgb_is_the_network_between_conversions(scale, size) -> None:
    net = FDNN(scale, channels=4, init="spread").eval()
    lr = torch.rand(1, 3, *size)
    with torch.inference_mode():
        found = build(net, "rgb")(lr)
        ycbcr = rgb_to_ycbcr(lr[0].permute(1, 2, 0).double().numpy())
        y = net(torch.from_numpy(ycbcr[..., 0]).float()[None, None] / 255)[0, 0] * 255
    chroma = [imresize(torch.from_numpy(ycbcr[..., i].copy()), scale).numpy() for i in (1, 2)]
    expected = ycbcr_to_rgb(np.stack([y.double().numpy(), *chroma], axis=-1)).clip(0, 1)
    np.testing.assert_allclose(found[0].permute(1, 2, 0).numpy(), expected, atol=1e-5)


def test_rgb_is_clamped() -> None:
    net = FDNN(2, channels=4)
    net.fuse.bias.data.fill_(9)
    with torch.inference_mode():
        assert float(build(net, "rgb")(torch.rand(1, 3, 4, 4)).max()) == 1


def test_half_precision_keeps_brightness() -> None:
    net = FDNN(3, channels=8, init="spread").eval()
    half = Luma(net, "fp16").eval()
    assert {p.dtype for p in half.top.parameters()} == {torch.float16}
    assert {p.dtype for p in half.residual.parameters()} == {torch.float32}
    lr = torch.rand(1, 1, 20, 21)
    with torch.inference_mode():
        assert half(lr).dtype == torch.float32
        assert float((half(lr) - net(lr)).abs().max()) < 0.01
        assert RGB(half)(torch.rand(1, 3, 5, 4)).dtype == torch.float32


def test_early_upsampling_is_refused() -> None:
    with pytest.raises(ValueError, match="not the last"):
        build(FDNN(3, channels=4, upsample_at=3), "luma")
