import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import fdnn
from fdnn import load, upscale
from fdnn.files.errors import UserError
from fdnn.inference.tiles import upscale_pixels
from fdnn.models import FDNN, Bicubic
from fdnn.models.ensemble import SelfEnsemble

CHANNELS = {"gray": (), "one": (1,), "gray_alpha": (2,), "rgb": (3,), "rgba": (4,)}


@pytest.fixture(scope="module")
def net() -> FDNN:
    torch.manual_seed(0)
    return FDNN(2, channels=4, init="spread").eval()


def test_import_is_light() -> None:
    code = (
        "import sys, fdnn; from fdnn import load, upscale; load('fdnn_x2'); "
        "print(*sorted({'lightning', 'wandb', 'huggingface_hub', 'av', 'cv2'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_names() -> None:
    assert sorted(fdnn.__all__) == ["load", "upscale"]
    with pytest.raises(AttributeError, match="upscael"):
        fdnn.upscael  # noqa: B018


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32", "float64", ">u2"])
@pytest.mark.parametrize("channels", CHANNELS.values(), ids=CHANNELS)
def test_arrays(net, random, dtype, channels) -> None:
    image = random.random((5, 7, *channels))
    peak = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    sr = upscale((image * peak).astype(dtype), net)
    assert (sr.shape, sr.dtype) == ((10, 14, *channels), np.dtype(dtype))
    assert 0 <= sr.min() <= sr.max() <= peak
    expected = upscale_pixels(net, image)
    far = np.abs(sr.astype(float) / peak - expected)
    if channels in {(2,), (4,)}:  # where little can be seen, rounding makes other colours
        far = far[..., -1]
    assert far.max() < 0.02


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shape", [(1, 5, 7), (3, 5, 7), (2, 3, 5, 7), (1, 4, 5, 7)], ids=str)
def test_tensors(net, dtype, shape) -> None:
    torch.manual_seed(1)
    image = torch.rand(shape)
    image = (image * 255).to(dtype) if dtype == torch.uint8 else image.to(dtype)
    sr = upscale(image, net)
    assert (sr.shape, sr.dtype) == ((*shape[:-2], 10, 14), dtype)
    assert sr.is_contiguous()
    sr += 1  # an ordinary tensor, which may be changed
    array = image.reshape(-1, *shape[-3:])[0].permute(1, 2, 0)
    if dtype == torch.uint8:
        assert np.array_equal(
            upscale(array.numpy(), net), (sr - 1).reshape(-1, shape[-3], 10, 14)[0].permute(1, 2, 0)
        )


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_pillow(net, random, mode) -> None:
    rgb = Image.fromarray(random.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    image = rgb.convert("L").convert("I").convert("I;16") if mode == "I;16" else rgb.convert(mode)
    image.info |= {"dpi": (72, 72)}
    sr = upscale(image, net)
    assert isinstance(sr, Image.Image)
    assert sr.size == (14, 10)
    assert sr.mode == {"1": "L", "P": "RGB", "CMYK": "RGB"}.get(mode, mode)
    assert sr.info["dpi"] == (72, 72)


def test_pixels_of_pillow_images_and_of_every_image_of_a_batch(net, random) -> None:
    pixels = random.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    sr = upscale(Image.fromarray(pixels), net)
    assert np.array_equal(np.asarray(sr), upscale_pixels(net, pixels))
    batch = torch.from_numpy(random.random((3, 3, 5, 7), dtype=np.float32))
    for one, large in zip(batch, upscale(batch, net), strict=True):
        assert torch.allclose(large, upscale(one, net), atol=1e-6)
        whole = upscale_pixels(net, one.permute(1, 2, 0).numpy())
        assert np.allclose(large.permute(1, 2, 0).numpy(), whole, atol=1e-5)


def test_self_ensemble_and_tile(net, random) -> None:
    image = random.random((9, 8))
    expected = upscale(image, SelfEnsemble(net))
    assert np.array_equal(upscale(image, net, self_ensemble=True), expected)
    assert not np.allclose(upscale(image, net), expected, atol=1e-4)
    assert np.allclose(upscale(image, net, tile=3), upscale(image, net), atol=1e-5)


def test_default_network_and_names(random, tmp_path) -> None:
    image = random.integers(0, 256, (5, 6), dtype=np.uint8)
    assert np.array_equal(upscale(image), upscale(image, load("fdnn_x3")))
    assert upscale(image, "fdnn_x4").shape == (20, 24)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("photo.png", "got str"),
        (np.zeros((2, 2), np.int32), "got int32"),
        (np.zeros((2, 2), bool), "got bool"),
        (np.zeros((2, 2), np.complex64), "got complex64"),
        (np.zeros((2, 2, 5)), "2, 2, 5"),
        (np.zeros((0, 2)), r"\(0, 2\)"),
        (np.zeros(4), r"\(4,\)"),
        (np.full((2, 2), 255.0), r"got 255 to 255; divide"),
        (np.full((2, 2), np.nan), "got nan"),
        (torch.zeros(2, 2), r"\(2, 2\)"),
        (torch.zeros(2, 2, 3), r"\(2, 2, 3\)"),
        (torch.zeros(1, 2, 2, dtype=torch.int64), "int64"),
        (torch.full((1, 2, 2), -3.0), "got -3"),
    ],
)
def test_mistakes(image, message) -> None:
    if isinstance(image, torch.Tensor) and image.shape == (2, 2, 3):
        assert upscale(image, Bicubic(2)).shape == (2, 4, 6)  # gray with alpha
        return
    with pytest.raises((TypeError, ValueError), match=message):
        upscale(image, Bicubic(2))


def test_16_bits_with_a_transparent_gray() -> None:
    image = Image.new("I;16", (5, 4), 7)
    image.info["transparency"] = 7
    with pytest.raises(UserError, match="no images of 16 bits but gray ones"):
        upscale(image, Bicubic(2))


def test_a_network_in_training_neither_changes_nor_learns(random) -> None:
    image = random.integers(0, 256, (12, 14), dtype=np.uint8)
    net = load("msdepc_x3")  # it has batch normalisation
    expected = upscale(image, net)
    net.train()
    net.merge.eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert np.array_equal(upscale(image, net), expected)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net.training
    assert not net.merge.training
