import torch

from fdnn.models import Bicubic


def test_spreads_a_pixel_by_keys_kernel() -> None:
    """Keys' cubic with a = -0.5 at distances of 1/4, 3/4, 5/4 and 7/4 pixels."""
    lr = torch.zeros(2, 1, 9, 9)
    lr[:, :, 4, 4] = 1
    half = torch.tensor([0.8671875, 0.2265625, -0.0703125, -0.0234375], dtype=torch.float64)
    kernel = torch.cat([half.flip(0), half])
    expected = torch.zeros(2, 1, 18, 18, dtype=torch.float64)
    expected[:, :, 5:13, 5:13] = torch.outer(kernel, kernel)
    torch.testing.assert_close(Bicubic(2)(lr), expected)


def test_context() -> None:
    lr = torch.rand(1, 1, 9, 9)
    changed = lr.clone()
    changed[..., 0] += 1
    difference = (Bicubic(3)(lr) - Bicubic(3)(changed)).abs().amax(dim=(0, 1, 2))
    assert difference.nonzero().max() < 3 * (0 + Bicubic(3).context + 1)
