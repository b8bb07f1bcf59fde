import numpy as np
import pytest
import torch

from fdnn.files.errors import UserError
from fdnn.data.pairs import PairStore, make_pair
from fdnn.data.patches import InTurn, TrainingBatches


def test_patches_are_aligned_and_turned_alike(random) -> None:
    hr, lr = make_pair(random.integers(0, 256, (60, 60)).astype(float), 3)
    holder = PairStore([], scale=3, patch_size=15)
    holder.pairs = [(hr, lr)]
    batches = TrainingBatches(holder, batch_size=64, seed=1)
    lr_batch, hr_batch, _ = batches[0]
    assert lr_batch.shape == (64, 1, 5, 5)
    assert hr_batch.shape == (64, 1, 15, 15)
    windows = np.lib.stride_tricks.sliding_window_view(hr, (15, 15))[::3, ::3]
    seen = set()
    for one_lr, one_hr in zip(lr_batch[:, 0], hr_batch[:, 0], strict=True):
        found = []
        for turn in range(8):  # undo each of the eight turns and look for the place
            back = [np.rot90(x.numpy(), turn % 4) for x in (one_lr, one_hr)]
            back = [x.T if turn > 3 else x for x in back]
            match = np.argwhere((np.abs(windows / 255 - back[1]) < 1e-6).all(axis=(2, 3)))
            found += [(turn, back[0], y, x) for y, x in match]
        assert len(found) == 1
        turn, unturned, y, x = found[0]
        assert np.allclose(unturned, lr[y : y + 5, x : x + 5] / 255, atol=1e-6)
        seen.add(turn)
    assert len(seen) == 8


def test_every_place_is_drawn(store) -> None:
    made = store(patch_size=69)
    made.pairs = made.pairs[:2]
    batches = TrainingBatches(made, batch_size=4000, seed=0)
    places = sum((lr.shape[0] - 22) * (lr.shape[1] - 22) for _, lr in made.pairs)
    drawn = {hr.numpy().tobytes() for hr in batches[0][1]}
    assert len(drawn) == 8 * places


@pytest.mark.parametrize("part", [0.3, 1])
def test_stretched_pairs_have_the_luma_of_gray_images(store, part) -> None:
    made = store()
    made.pairs.append((np.uint8([[0] * 24] * 24), np.float32([[0] * 8] * 8)))  # of a gray image
    plain = TrainingBatches(made, batch_size=400, seed=0)[0]
    some = TrainingBatches(made, batch_size=400, seed=0, full_range=part)[0]
    positive, negative = (
        [(pixels - black / 255) * gain / 219 for pixels in plain[:2]]
        for black, gain in ((16, 255), (235, -255))
    )
    times = np.zeros(3)
    for i in range(400):
        fits = [
            all(torch.allclose(a[i], b[i], atol=1e-6) for a, b in zip(some, pair, strict=False))
            for pair in (plain[:2], positive, negative)
        ]
        assert sum(fits) == 1
        times += fits
        assert fits[0] or plain[1][i].any()
    assert times[1:].sum() / 400 == pytest.approx(part, abs=0.06)
    assert times[1] / times[1:].sum() == pytest.approx(0.5, abs=0.12)
    assert some[1].min() >= 0
    assert some[1].max() <= 1


def holder_of_places(height: int, width: int) -> PairStore:
    """A store of one image whose LR pixels say where they are: 100 y + x."""
    y, x = np.mgrid[:height, :width]
    holder = PairStore([], scale=2, patch_size=24)
    holder.pairs = [(np.zeros((2 * height, 2 * width), np.uint8), np.float32(100 * y + x))]
    return holder


def test_with_a_margin_no_pixel_counts_near_a_border_inside_the_image() -> None:
    batches = TrainingBatches(holder_of_places(20, 15), batch_size=200, seed=0, margin=3)
    lr, _, counts = batches[0]
    assert counts.dtype == torch.bool
    ends = set()
    for places, found in zip((lr[:, 0] * 255).round(), counts[:, 0], strict=True):
        y, x = places // 100, places % 100
        expected = torch.ones_like(found)
        for at, side in ((y, 20), (x, 15)):
            first, last = at.min(), at.max()
            expected &= (at - first >= 3) | (first == 0)
            expected &= (last - at >= 3) | (last == side - 1)
            ends.add((side, bool(first == 0), bool(last == side - 1)))
        assert torch.equal(found, expected)
    assert len(ends) == 6  # at the beginning, at the end and between, along both axes


def test_with_a_margin_the_ends_of_an_image_count_as_well() -> None:
    batches = TrainingBatches(holder_of_places(40, 60), batch_size=20_000, seed=0, margin=2)
    lr, _, counts = batches[0]
    places = (lr[counts] * 255).round().long()
    times = torch.bincount(places, minlength=4000).view(40, 100)[:, :60].float()
    times /= times.mean()
    rows, columns = times.mean(dim=1), times.mean(dim=0)
    assert 0.4 < min(rows.min(), columns.min()) < max(rows.max(), columns.max()) < 1.7
    # Without, an end's pixel lies in one place, and one inside in twelve.
    lr, _, counts = TrainingBatches(batches.store, batch_size=20_000, seed=0)[0]
    assert counts.all()
    rows = torch.bincount((lr * 255).round().long().flatten() // 100).float()
    assert 9 < rows[20] / rows[0] < 16


def test_same_seed_same_batches_with_any_number_of_workers(store) -> None:
    batches = TrainingBatches(store(), batch_size=8, seed=7)

    def draw(workers: int) -> list[torch.Tensor]:
        loader = torch.utils.data.DataLoader(
            batches, batch_size=None, sampler=range(6), num_workers=workers
        )
        return [hr for _, hr, _ in loader]

    alone, helped = draw(0), draw(2)
    assert all(torch.equal(a, b) for a, b in zip(alone, helped, strict=True))
    assert not torch.equal(alone[0], alone[1])
    other = TrainingBatches(batches.store, batch_size=8, seed=8)
    assert not torch.equal(alone[0], other[0][1])


def test_processes_share_what_one_would_draw(store) -> None:
    made = store()
    whole = TrainingBatches(made, batch_size=6, seed=3)[5][1]
    shares = [TrainingBatches(made, 6, 3, rank, 3)[5][1] for rank in range(3)]
    assert torch.equal(torch.cat(shares), whole)
    with pytest.raises(UserError, match="multiple of 4"):
        TrainingBatches(made, 6, 3, 0, 4)


def test_accumulated_parts_are_what_one_step_would_draw(store) -> None:
    made = store()
    whole = TrainingBatches(made, batch_size=12, seed=3)[5][1]
    ranks = [TrainingBatches(made, 12, 3, rank, 2, parts=3) for rank in range(2)]
    shares = [batches[3 * 5 + part][1] for batches in ranks for part in range(3)]
    assert torch.equal(torch.cat(shares), whole)
    with pytest.raises(UserError, match="2 processes with 4 accumulated parts each; use a multi"):
        TrainingBatches(made, 12, 3, 0, 2, parts=4)


def test_scales_take_turns(store) -> None:
    sources = [TrainingBatches(store(scale=scale), batch_size=3, seed=1) for scale in (2, 3, 4)]
    batches = InTurn(sources)
    for number in range(7):
        lr, *rest = batches[number]
        expected = sources[number % 3][number]
        assert all(map(torch.equal, (lr, *rest), expected))
        assert lr.shape == (3, 1, *[24 // (2 + number % 3)] * 2)
