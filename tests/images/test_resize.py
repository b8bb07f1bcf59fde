from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fdnn.images.luma import to_8_bit
from fdnn.images.resize import contributions, imresize, shrink


def planes(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.atleast_3d(np.array(Image.open(path)))).permute(2, 0, 1)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("image", range(1, 6))
def test_old_matlab_made_these_lr_images(oracle: Path, image: int, scale: int) -> None:
    stem = f"img_{image:03d}_SRF_{scale}"
    hr = planes(oracle / f"{stem}_HR.png")
    lr = planes(oracle / f"{stem}_LR.png")
    assert torch.equal(imresize(hr, 1 / scale, generation="legacy_uint8"), lr)


@pytest.mark.parametrize(("scale", "ties"), [(2, 1), (3, 0), (4, 0)])
def test_matlab_r2017b_made_these_lr_images(oracle: Path, scale: int, ties: int) -> None:
    hr = planes(oracle / "r2017b_baboon.png").double()
    lr = planes(oracle / f"r2017b_baboon_down_x{scale}_matlab.png")
    difference = (to_8_bit(imresize(hr, 1 / scale)) - lr).abs()
    assert int((difference > 0).sum()) <= ties
    assert float(difference.max()) <= 1


@pytest.mark.parametrize("scale", [1 / 4, 1 / 3, 0.5, 0.6, 1.0, 1.7, 3.0])
def test_constants_survive(scale: float) -> None:
    out = imresize(torch.full((40, 30), 7.0).double(), scale)
    assert torch.allclose(out, torch.full_like(out, 7))


@pytest.mark.parametrize("scale", [1.0, 1.7, 2.0, 3.0])
def test_parabolas_survive_enlarging(scale: float) -> None:
    # Keys' cubic with a = -0.5 reproduces polynomials of second degree away from the border.
    x = torch.arange(60.0).double()
    out = imresize((x**2).expand(5, 60), scale)[0]
    at = (torch.arange(len(out)).double() + 0.5) / scale - 0.5
    middle = slice(len(out) // 3, 2 * len(out) // 3)
    assert torch.allclose(out[middle], at[middle] ** 2)


def test_scale_one_is_identity() -> None:
    image = torch.rand(2, 5, 9).double()
    assert torch.allclose(imresize(image, 1.0), image)


def test_single_pixel() -> None:
    assert torch.allclose(imresize(torch.full((1, 1), 0.3), 3), torch.full((3, 3), 0.3))


def test_size_and_scale_agree() -> None:
    image = torch.rand(30, 20).double()
    assert torch.equal(imresize(image, 0.5), imresize(image, size=(15, 10)))
    assert imresize(image, size=(7, 50)).shape == (7, 50)


def test_mirror_and_replicate_differ_only_in_indices() -> None:
    w_mirror, i_mirror = contributions(10, 5, 0.5, mirror=True)
    w_clamp, i_clamp = contributions(10, 5, 0.5, mirror=False)
    assert torch.equal(w_mirror, w_clamp)
    assert i_mirror[0].tolist() != i_clamp[0].tolist()
    assert i_clamp.min() == 0
    assert i_clamp.max() == 9


@pytest.mark.parametrize(
    ("image", "arguments", "message"),
    [
        (torch.rand(4, 4), {}, "either scale or size"),
        (torch.rand(4, 4), {"scale": 2.0, "size": (8, 8)}, "either scale or size"),
        (torch.rand(4, 4), {"scale": 0.0}, "above 0"),
        (torch.rand(4, 4), {"size": (0, 3)}, "at least 1x1"),
        (torch.rand(0, 4), {"scale": 2.0}, "non-empty"),
        (torch.zeros(4, 4, dtype=torch.uint8), {"scale": 2.0}, "float image"),
        (torch.rand(4, 4), {"scale": 2.0, "generation": "legacy_uint8"}, "uint8 image"),
    ],
)
def test_bad_arguments(image: torch.Tensor, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        imresize(image, **arguments)


def test_depth_and_channels(random) -> None:
    for dtype in (np.uint8, np.uint16):
        image = random.integers(0, np.iinfo(dtype).max, (12, 9, 4), dtype=dtype)
        assert shrink(image, 3).shape == (4, 3, 4)
        assert shrink(image, 3).dtype == dtype
        assert shrink(image[..., 0], 3).shape == (4, 3)
