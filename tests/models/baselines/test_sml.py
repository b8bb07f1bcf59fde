import pytest
import torch

from fdnn.images.resize import imresize
from fdnn.models import SML
from fdnn.models.baselines.sml import cosines


def randomised(scale: int, **arguments: int) -> SML:
    torch.manual_seed(scale)
    net = SML(scale, layers=2, channels=4, clusters=3, atoms=5, **arguments).eval()
    for p in net.parameters():
        p.data += 0.05 * torch.randn_like(p)
    return net


def test_dictionaries_start_orthonormal_and_without_mean() -> None:
    atoms = cosines(9, 32)
    torch.testing.assert_close(atoms @ atoms.T, torch.eye(32, dtype=atoms.dtype))
    assert atoms.sum(dim=1).abs().max() < 1e-12
    # Half a wave along each axis come first.
    assert (atoms[0].view(9, 9).std(dim=0).max(), atoms[1].view(9, 9).std(dim=1).max()) < (
        1e-9,
    ) * 2


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_patch_has_only_so_many_cosines(scale: int) -> None:
    limit = (3 * scale) ** 2 - 1
    atoms = SML(scale, 1, 2, clusters=1, atoms=limit).dictionary
    torch.testing.assert_close(atoms @ atoms.T, torch.eye(limit))
    for count in (0, limit + 1):
        with pytest.raises(ValueError, match=rf"1 to \(3 \* scale\)\*\*2 - 1 = {limit}, got"):
            SML(scale, 1, 2, atoms=count)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_pasting_undoes_cutting(scale: int) -> None:
    net, image = SML(scale, 1, 2), torch.rand(2, 1, 5 * scale, 4 * scale)
    inside = (..., slice(scale, -scale), slice(scale, -scale))
    torch.testing.assert_close(net.paste(net.cut(image))[inside], image[inside])


def test_similarities_find_a_repeated_patch() -> None:
    net, lr = SML(2, 1, 2), torch.rand(1, 1, 9, 9)
    for column, same in ((5, 3), (6, 4), (7, 3)):
        lr[..., 3:6, column] = lr[..., 3:6, same]  # what lies 2 to the right of the middle is alike
    weights = net.similarities(lr)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(1, 9, 9))
    directions = [(y, x) for y in range(-2, 3) for x in range(-2, 3) if (y, x) != (0, 0)]
    assert directions[int(weights[0, :, 4, 4].argmax())] == (0, 2)
    flat = net.similarities(torch.full((1, 1, 5, 5), 0.3))
    torch.testing.assert_close(flat, torch.full_like(flat, 1 / 24))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_starts_from_bicubic_that_agrees_with_the_lr_image(scale: int) -> None:
    net, lr = SML(scale, 2, 4, rounds=1), torch.rand(1, 1, 9, 8).double()
    sr = imresize(lr, scale)
    sr = sr + imresize(lr - imresize(sr, 1 / scale), scale)
    torch.testing.assert_close(net(lr.float()), sr.float(), atol=1e-5, rtol=0)


def test_a_round_by_hand() -> None:
    """The code of one patch: soft thresholding about what is expected."""
    net = randomised(2, rounds=1)
    net.fidelity.data.zero_()
    lr = torch.rand(1, 1, 9, 9)
    features = lr
    for layer in net.layers:
        features = layer(features).relu()
    parts = net.assign(features).softmax(dim=1)[0]
    patches = net.cut(net.upsample(lr))[0]
    changed = torch.zeros_like(patches)
    d, t = net.dictionary, net.threshold[:, 0, 0]
    for y in range(2, 7):
        for x in range(2, 7):
            a = d @ patches[:, y, x]
            window = patches[:, y - 2 : y + 3, x - 2 : x + 3].flatten(1)
            window = torch.cat([window[:, :12], window[:, 13:]], dim=1)
            similar = d @ (window @ net.similarities(lr)[0, :, y, x])
            expected = a + net.expect(features)[0, :, y, x]
            b = expected + net.internal[:, 0, 0] * (similar - expected)
            a_new = b + torch.sign(a - b) * ((a - b).abs() - t).relu()
            changed[:, y, x] = (parts[:, y, x].repeat_interleave(5) * (a_new - a)) @ d
    # The middle pixels' patches all have their neighbours inside.
    middle = (..., slice(6, 12), slice(6, 12))
    expected_sr = net.upsample(lr) + net.paste(changed[None])
    torch.testing.assert_close(net(lr)[middle], expected_sr[middle])


def test_atoms_do_not_see_brightness() -> None:
    net, lr = SML(3, 1, 2), torch.rand(1, 1, 6, 6)
    patches = [net.cut(net.upsample(image)) for image in (lr, lr + 0.25)]
    codes = [torch.einsum("kp,nphw->nkhw", net.dictionary, p) for p in patches]
    torch.testing.assert_close(*codes, atol=1e-5, rtol=0)
