import numpy as np
import pytest
from skimage.color import rgb2ycbcr

from fdnn.files.errors import ImageError
from fdnn.images.luma import luma, modcrop, plane, rgb_to_ycbcr, ycbcr_to_rgb


def test_luma_is_bt601(random) -> None:
    image = random.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    expected = rgb2ycbcr(image)[..., 0]
    assert np.abs(luma(image) - expected).max() <= 0.5 + 1e-9
    assert np.array_equal(luma(image), np.round(luma(image)))
    # scikit-image's matrix has one digit less in places.
    assert np.abs(rgb_to_ycbcr(image / 255) - rgb2ycbcr(image)).max() < 0.01
    assert np.allclose(ycbcr_to_rgb(rgb_to_ycbcr(image / 255)), image / 255)


def test_luma_of_gray_alpha_and_16_bits(random) -> None:
    gray = random.integers(0, 256, (5, 6), dtype=np.uint8)
    assert np.array_equal(luma(gray), gray.astype(float))
    assert np.array_equal(luma(np.dstack([gray, gray])), gray.astype(float))
    rgb = random.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    wide = luma(rgb.astype(np.uint16) * 257)
    assert np.abs(wide - luma(rgb)).max() <= 0.5 + 1 / 257
    assert np.allclose(wide * 257, np.round(wide * 257))


def test_modcrop() -> None:
    assert modcrop(np.zeros((10, 11, 3)), 3).shape == (9, 9, 3)
    with pytest.raises(ImageError, match=r"a\.png: 11x2 is too small for x3"):
        modcrop(np.zeros((2, 11)), 3, "a.png")


def test_plane(random) -> None:
    pixels = random.integers(0, 256, (4, 5), dtype=np.uint8)
    assert plane(pixels[:, ::-1]).tolist() == [[pixels[:, ::-1].tolist()]]
