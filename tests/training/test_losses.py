import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fdnn.training.losses import MSEKLLoss, PixelLoss, as_distribution, kl_divergence, kl_printed


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    hr = torch.rand(4, 1, 12, 12, generator=generator)
    return (hr + 0.1 * torch.randn(hr.shape, generator=generator)).clamp(0, 1), hr


def test_distribution() -> None:
    p = as_distribution(torch.tensor([[-1.0, 0.0, 2.0]]), epsilon=0.5)
    assert p.tolist() == [pytest.approx([0.5 / 3.5, 0.5 / 3.5, 2.5 / 3.5])]


def test_equals_torchs_kl_div() -> None:
    sr, hr = batch()
    p, q = as_distribution(hr).double(), as_distribution(sr).double()
    expected = F.kl_div(q.log(), p, reduction="none").sum(dim=1)
    assert kl_divergence(sr, hr).double() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-6])
def test_zero_for_identical_and_never_negative(scale: float) -> None:
    _, hr = batch()
    assert kl_divergence(hr, hr).tolist() == [0, 0, 0, 0]
    assert kl_printed(hr, hr).tolist() == [0, 0, 0, 0]
    for seed in range(50):
        noise = torch.randn(hr.shape, generator=torch.Generator().manual_seed(seed))
        assert kl_divergence(hr + scale * noise, hr).min() >= 0


def test_brightness_alone_does_not_count() -> None:
    # A distribution has no brightness: that is left to the MSE term.
    _, hr = batch()
    assert kl_divergence(0.5 * hr, hr, epsilon=1e-9).max() < 1e-6
    assert kl_printed(0.5 * hr, hr).min() > 1


def test_printed_form() -> None:
    sr, hr = batch()
    h, f = hr.flatten(1).clamp(1e-3), sr.flatten(1).clamp(1e-3)
    expected = (h * torch.log(h / f)).sum(dim=1).abs()
    assert torch.allclose(kl_printed(sr, hr), expected)
    # Eq. 21 whole: the mean over images of either term.
    norms = [np.linalg.norm(difference) for difference in (sr - hr)[:, 0].numpy()]
    terms = MSEKLLoss(form="printed", kl_weight=2)(sr, hr)
    assert float(terms["loss"]) == pytest.approx(np.mean(norms) + 2 * float(expected.mean()))
    assert float(terms["mse"]) == pytest.approx(float(F.mse_loss(sr, hr)))


def test_printed_form_has_a_gradient_where_images_agree() -> None:
    _, hr = batch()
    sr = hr.clone().requires_grad_()
    MSEKLLoss(form="printed")(sr, hr)["loss"].backward()
    assert torch.isfinite(sr.grad).all()


@pytest.mark.parametrize("form", ["divergence", "printed"])
@pytest.mark.parametrize(
    "kind", ["zeros", "negative", "huge", "tiny", "mixed", "one bright pixel", "half"]
)
def test_finite_on_adversarial_outputs(form: str, kind: str) -> None:
    _, hr = batch()
    hr[0] = 0  # a black patch
    sr = {
        "zeros": torch.zeros_like(hr),
        "negative": -torch.ones_like(hr),
        "huge": torch.full_like(hr, 1e15),
        "tiny": torch.full_like(hr, 1e-30),
        "mixed": torch.linspace(-1e4, 1e4, hr.numel()).view(hr.shape),
        "half": torch.tensor([3e5, 0.0]).repeat_interleave(6).expand(hr.shape).clone(),
        "one bright pixel": F.pad(torch.full((4, 1, 1, 1), 1e5), (0, 11, 0, 11)),
    }[kind].requires_grad_()
    terms = MSEKLLoss(form=form)(sr, hr)
    terms["loss"].backward()
    assert all(torch.isfinite(value) for value in terms.values())
    assert torch.isfinite(sr.grad).all()


def test_gradient_is_right() -> None:
    sr, hr = batch()
    sr = sr.double().clamp(0.05, 0.95)[:1, :, :3, :3].requires_grad_()
    hr = hr.double()[:1, :, :3, :3]
    value = kl_divergence(sr, hr).sum()
    (gradient,) = torch.autograd.grad(value, sr)
    step = 1e-3
    for i in range(9):
        moved = sr.detach().clone().view(-1)
        moved[i] += step
        up = kl_divergence(moved.view_as(sr), hr).sum()
        moved[i] -= 2 * step
        down = kl_divergence(moved.view_as(sr), hr).sum()
        assert float((up - down) / (2 * step)) == pytest.approx(
            float(gradient.view(-1)[i]), abs=2e-4
        )


def test_float32_under_autocast() -> None:
    sr, hr = batch()
    with torch.autocast("cpu", torch.bfloat16):
        terms = MSEKLLoss()(sr.bfloat16(), hr)
    assert {value.dtype for value in terms.values()} == {torch.float32}


def test_terms_and_weight() -> None:
    sr, hr = batch()
    terms = MSEKLLoss(kl_weight=0.25)(sr, hr)
    assert terms["mse"] == pytest.approx(float(F.mse_loss(sr, hr)))
    assert terms["loss"] == pytest.approx(float(terms["mse"] + 0.25 * terms["kl"]))
    assert float(PixelLoss("l1")(sr, hr)["loss"]) == pytest.approx(float(F.l1_loss(sr, hr)))
    assert float(PixelLoss("mse")(sr, hr)["loss"]) == pytest.approx(float(F.mse_loss(sr, hr)))
    with pytest.raises(ValueError, match="kl_weight"):
        MSEKLLoss(kl_weight=-1)
    with pytest.raises(ValueError, match=r"form must be .* 'Eq\. 21'"):
        MSEKLLoss(form="Eq. 21")
    with pytest.raises(ValueError, match="kind must be mse or l1, got 'rmse'"):
        PixelLoss("rmse")


@pytest.mark.parametrize(
    ("form", "divergence"), [("divergence", kl_divergence), ("printed", kl_printed)]
)
def test_the_form_that_is_asked_for(form, divergence) -> None:
    sr, hr = batch()
    for epsilon in (1e-3, 0.1):
        found = MSEKLLoss(form=form, epsilon=epsilon)(sr, hr)["kl"]
        assert float(found) == pytest.approx(float(divergence(sr, hr, epsilon).mean()))


def test_titles() -> None:
    assert [PixelLoss().title, PixelLoss("l1").title] == ["MSE", "L1"]
    assert MSEKLLoss(kl_weight=0).title == "MSE"
    assert MSEKLLoss().title == "MSE + KL"
    assert MSEKLLoss(kl_weight=0.1).title == "MSE + 0.1 KL"
    assert MSEKLLoss(form="printed").title == "norm + KL, as printed"
    assert MSEKLLoss(epsilon=0.5).title == "MSE + KL, epsilon 0.5"
    assert MSEKLLoss(form="printed", kl_weight=0).title == "norm"


@pytest.mark.parametrize(
    "loss", [PixelLoss(), PixelLoss("l1"), MSEKLLoss(), MSEKLLoss(form="printed")]
)
def test_a_masked_loss_is_the_loss_of_the_images_cut_to_the_valid_pixels(loss) -> None:
    """A loss that divided by all pixels would be 0.605 times as large with a margin of 4 of 36."""
    sr, hr = torch.rand(2, 3, 1, 36, 36).unbind()
    mask = torch.zeros(3, 1, 36, 36, dtype=torch.bool)
    mask[..., 4:-4, 4:-4] = True
    inner = [image[..., 4:-4, 4:-4] for image in (sr, hr)]
    expected, found = loss(*inner), loss(sr, hr, mask)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(float(value), rel=1e-5), name
    # Images with different numbers of valid pixels count the same: a batch may be split anyhow.
    mask[0, :, :, :20] = False
    whole = loss(sr, hr, mask)["loss"]
    single = [loss(sr[i : i + 1], hr[i : i + 1], mask[i : i + 1])["loss"] for i in range(3)]
    assert float(whole) == pytest.approx(float(sum(single)) / 3, rel=1e-5)
