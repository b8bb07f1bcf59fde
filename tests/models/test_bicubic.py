import torch

from fdnn.models import Bicubic
from fdnn.resize import imresize


def test_is_matlabs_enlargement() -> None:
    lr = torch.rand(2, 1, 7, 5)
    sr = Bicubic(4)(lr)
    assert sr.shape == (2, 1, 28, 20)
    assert torch.equal(sr, imresize(lr.double(), 4))


def test_context() -> None:
    lr = torch.rand(1, 1, 9, 9)
    changed = lr.clone()
    changed[..., 0] += 1
    difference = (Bicubic(3)(lr) - Bicubic(3)(changed)).abs().amax(dim=(0, 1, 2))
    assert difference.nonzero().max() < 3 * (0 + Bicubic(3).context + 1)
