import pytest
import torch

from fdnn.inference.tiles import upscale_luma
from fdnn.models import FDNN, Bicubic
from fdnn.models.ensemble import SelfEnsemble, dihedral, undo_dihedral


def test_eight_different_ways_and_back() -> None:
    image = torch.arange(9.0).view(1, 1, 3, 3)
    assert len({tuple(dihedral(image, i).flatten().tolist()) for i in range(8)}) == 8
    wide = torch.rand(2, 1, 3, 5)
    for i in range(8):
        assert torch.equal(undo_dihedral(dihedral(wide, i), i), wide)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_turned_input_gives_turned_output(scale) -> None:
    torch.manual_seed(0)
    net = FDNN(scale, channels=4, init="spread").eval()
    ensemble = SelfEnsemble(net)
    assert (ensemble.scale, ensemble.context, ensemble.training) == (scale, net.context, False)
    lr = torch.rand(2, 1, 5, 7)
    with torch.no_grad():
        sr = ensemble(lr)
        assert not torch.allclose(sr, net(lr), atol=1e-5)
        for i in range(8):
            again = undo_dihedral(ensemble(dihedral(lr, i)), i)
            assert torch.allclose(again, sr, atol=1e-5, rtol=0)


def test_a_symmetric_network_stays_as_it_is() -> None:
    lr = torch.rand(1, 1, 4, 6)
    assert torch.allclose(SelfEnsemble(Bicubic(3))(lr), Bicubic(3)(lr))


def test_tiles_equal_the_whole() -> None:
    ensemble = SelfEnsemble(FDNN(3, channels=4).eval())
    lr = torch.rand(1, 1, 20, 33)
    with torch.no_grad():
        assert torch.allclose(upscale_luma(ensemble, lr, 8), ensemble(lr), atol=1e-5, rtol=0)
