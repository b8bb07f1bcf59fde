import numpy as np
import torch
from scipy.signal import convolve2d

from fdnn.models import MSDEPC
from fdnn.models.layers.phase import DIRECTIONS, LENGTHS, PhaseCongruency, log_gabor


def step(height: float) -> torch.Tensor:
    image = torch.full((1, 1, 40, 40), 0.2)
    image[..., 20:] += height
    return image


def test_filters_are_pairs_blind_to_the_mean() -> None:
    even, odd = log_gabor()
    assert even.shape == (DIRECTIONS, len(LENGTHS), 17, 17)
    assert torch.stack([even, odd]).sum(dim=(-1, -2)).abs().max() < 1e-12
    torch.testing.assert_close(even.flip(-1, -2), even)
    torch.testing.assert_close(odd.flip(-1, -2), -odd)
    # The first direction is along rows: its even filters do not change from top to bottom.
    torch.testing.assert_close(even[0].flip(-2), even[0])


def test_convolves_with_the_filters(random) -> None:
    image = random.random((20, 19))
    edges = PhaseCongruency()
    found = torch.conv2d(torch.from_numpy(image)[None, None], edges.filters.double())[0]
    filters = log_gabor().flatten(0, 2).numpy()
    expected = np.stack([convolve2d(image, f, mode="valid") for f in filters])
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_edges_are_where_the_image_steps() -> None:
    edges = PhaseCongruency()
    strength = edges(step(0.6))[0, 0]
    assert strength[20].argmax() in (19, 20)
    assert strength[20, 19:21].min() > 0.5 > 0.001 > strength[:, :8].max()
    # Across and along, up and down, bright and dark are alike.
    turned = edges(step(0.6).mT.contiguous())[0, 0].mT
    torch.testing.assert_close(turned[10:30], strength[10:30], atol=3e-3, rtol=0)
    torch.testing.assert_close(edges(1 - step(0.6))[0, 0], strength, atol=1e-4, rtol=0)


def test_edge_strength_hardly_depends_on_contrast() -> None:
    edges = PhaseCongruency()
    strong, weak = (edges(step(height))[0, 0, 20, 20] for height in (0.75, 0.25))
    assert 0.5 < weak / strong < 1
    assert edges(step(0.0)).max() < 1e-4


def test_edges_stay_exact_under_autocast() -> None:
    edges, image = PhaseCongruency(), torch.rand(1, 1, 20, 20)
    expected = edges(image)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(edges(image), expected)


def test_starts_from_bicubic() -> None:
    net, lr = MSDEPC(3, channels=4), torch.rand(2, 1, 9, 8)
    torch.testing.assert_close(net(lr), net.upsample(lr))


def test_the_three_scales_share_their_beginning() -> None:
    torch.manual_seed(0)
    net = MSDEPC(2, channels=4).eval()
    for p in net.parameters():
        p.data += 0.05 * torch.randn_like(p)
    seen: list[torch.Tensor] = []
    for decoder in net.decode:
        decoder.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    lr = torch.rand(1, 1, 8, 8)
    net(lr)
    assert [x.shape[1] for x in seen] == [4, 4, 8]
    first, second, third = seen
    torch.testing.assert_close(net.encode[1](first), second)
    torch.testing.assert_close(net.encode[2](second), third)
