import numpy as np
from skimage.metrics import peak_signal_noise_ratio

from fdnn.data.sets import find_set
from fdnn.evaluation import strips as pictures
from fdnn.evaluation.strips import comparison
from fdnn.images.io import read_image
from fdnn.images.luma import luma
from fdnn.images.resize import shrink
from fdnn.models import Bicubic


def test_comparison_shows_the_crop_of_each_version(monkeypatch) -> None:
    captions: list[str] = []
    drawn = pictures._captioned
    monkeypatch.setattr(
        pictures, "_captioned", lambda text, image: captions.append(text) or drawn(text, image)
    )
    path = find_set("sample-test").paths[1]  # chelsea, 300x451
    left, top, side = 120, 90, 60
    picture = comparison(path, {"again": Bicubic(3)}, 3, (left, top, side), "cat")
    assert captions[:2] == ["cat", "original"]
    # Four times enlarged, below the captions, the second panel is the HR crop, pixel by pixel.
    hr = read_image(path)
    crop = hr[top : top + side, left : left + side]
    width = 240 * 450 // 300 + 4
    shown = picture[pictures.CAPTION : pictures.CAPTION + 240, width + 2 : width + 242]
    assert np.array_equal(shown[::4, ::4], crop)
    # The figures are scikit-image's, of the luma of the crop.
    from fdnn.inference.tiles import upscale_pixels

    sr = upscale_pixels(Bicubic(3), shrink(hr[:300, :450], 3))[top : top + side, left : left + side]
    pair = [np.floor(luma(x) + 0.5) for x in (crop, sr)]
    expected = peak_signal_noise_ratio(*pair, data_range=255)
    assert captions[2].startswith(f"bicubic {expected:.2f} / 0.")
    assert captions[3] == captions[2].replace("bicubic", "again")
