import math

import pytest

from fdnn.data.sets import find_set
from fdnn.evaluation.score import score
from fdnn.models import Bicubic
from tools.benchmark.protocol import costs, main


def test_departures_cost_what_they_must(data) -> None:
    found = costs(Bicubic(3), "Set5")
    expected = score(Bicubic(3), find_set("Set5", data))
    assert found["the protocol"] == pytest.approx((expected.psnr, expected.ssim), abs=1e-6)
    base = expected.psnr
    # Full range stretches every error by 255/219.
    stretch = 20 * math.log10(219 / 255)
    assert found["luma of full range (JPEG's)"][0] - base == pytest.approx(stretch, abs=0.05)
    # Without antialiasing LR images are other images.
    assert found["LR by OpenCV's bicubic"][0] - base < -0.3
    # Bicubic does not see an offset, unless it is clipped.
    assert found["luma without the + 16"][0] == pytest.approx(base, abs=0.01)
    assert found["RGB instead of luma"][0] - base < -1


def test_missing_weights_give_one_line(tmp_path, capsys) -> None:
    assert main(["--weights", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: no weights at")
