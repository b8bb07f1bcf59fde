import pytest
import torch
from torch.nn import functional as F

from fdnn.images.resize import imresize
from fdnn.models import ESCN
from fdnn.models.baselines.escn import SCN, shrink


def randomised(scale: int) -> ESCN:
    torch.manual_seed(scale)
    net = ESCN(scale, members=2, atoms=7).eval()
    for p in net.parameters():
        p.data += 0.05 * torch.randn_like(p)
    return net


def test_shrinking_solves_its_problem() -> None:
    """shrink(x, t) is the z that makes (z - x)^2 / 2 + t |z| least."""
    x, t = torch.tensor([-3.0, -0.4, 0.2, 0.6, 2.0]), torch.tensor(0.5)
    z = torch.linspace(-4, 4, 8001)
    cost = (z - x[:, None]).square() / 2 + t * z.abs()
    torch.testing.assert_close(shrink(x, t), z[cost.argmin(dim=1)], atol=1e-3, rtol=0)


def test_starts_with_derivatives() -> None:
    filters = SCN(atoms=3, stages=1).describe.weight
    across = torch.arange(5.0).repeat(5, 1) - 2
    ramps = torch.stack([across, across**2, across.T, across.T**2])
    responses = torch.einsum("fyx,ryx->fr", filters[:, 0], ramps)
    # Twice the slope, and four times half the curvature of 2, of each ramp along its own axis.
    assert torch.equal(responses, torch.tensor([2.0, 8.0, 2.0, 8.0]).diag())


def test_a_patch_by_hand() -> None:
    """One output pixel by the equations, from the 25 descriptions of its patches' pixels."""
    torch.manual_seed(0)
    net = SCN(atoms=7, stages=2)
    for p in net.parameters():
        p.data += 0.05 * torch.randn_like(p)
    image = torch.rand(1, 1, 13, 13)
    kernels = net.describe.weight - net.describe.weight.mean(dim=(2, 3), keepdim=True)
    described = F.unfold(F.conv2d(image, kernels), 5)[0].T  # 25 patches' 100 features
    contrast = described.norm(dim=1, keepdim=True)
    w = described / contrast @ net.encode.weight.flatten(1).T
    s, t = net.interact.weight[:, :, 0, 0], net.threshold[:, 0, 0]
    z = shrink(w, t)
    for _ in range(2):
        z = shrink(w + z @ s.T, t)
    patches = contrast * z @ net.decode.weight[0].flatten(1)
    # A kernel's tap that looks up and left is the part of a patch that lies down and right.
    torch.testing.assert_close(net(image)[0, 0, 6, 6], patches.diag().mean())


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_brightness_and_contrast_pass_through(scale: int) -> None:
    net = randomised(scale)
    lr = torch.rand(1, 1, 8, 9)
    torch.testing.assert_close(net(0.4 * lr + 0.3), 0.4 * net(lr) + 0.3, atol=1e-5, rtol=0)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_starts_from_bicubic_steps(scale: int) -> None:
    lr = torch.rand(1, 1, 8, 9)
    expected = imresize(lr.double(), 2)
    if scale > 2:
        expected = imresize(expected, 2)
    if scale == 3:
        expected = imresize(expected, 3 / 4)
    torch.testing.assert_close(ESCN(scale)(lr), expected.float(), atol=1e-5, rtol=0)


def test_the_ensemble_is_the_mean_of_its_members() -> None:
    net = randomised(2)
    lr = torch.rand(1, 1, 8, 9)
    alone = []
    for member in net.members:
        one = ESCN(2, members=1, atoms=7)
        one.members[0].load_state_dict(member.state_dict())
        alone.append(one(lr))
    assert not torch.allclose(*alone)
    torch.testing.assert_close(net(lr), sum(alone) / 2)


def test_members_side_by_side_train_as_one_by_one() -> None:
    """Training computes the members as groups of channels, with the same gradients."""
    net = randomised(3)
    lr, weight = torch.rand(2, 1, 8, 9), torch.rand(2, 1, 24, 27)
    results, gradients = [], []
    for training in (False, True):
        net.train(training).zero_grad()
        sr = net(lr)
        (sr * weight).sum().backward()
        results.append(sr.detach())
        gradients.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    torch.testing.assert_close(*results)
    assert len(gradients[0]) == len(list(net.parameters()))
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)


def test_a_black_patch_in_half_precision() -> None:
    net = randomised(2).train()
    lr = torch.rand(2, 1, 10, 10)
    lr[0] = 0
    gradients = []
    for half in (False, True):
        net.zero_grad()
        with torch.autocast("cpu", torch.float16, enabled=half):
            sr = net(lr)
        (sr.float() - 1).square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0.02, atol=1e-4)
