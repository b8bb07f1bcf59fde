import numpy as np
import pytest
import torch
from PIL import Image

from fdnn.data import BenchmarkImages, SRDataModule, StepSampler
from fdnn.errors import ImageError, UserError
from fdnn.images import luma, modcrop, read_image
from fdnn.resize import imresize
from fdnn.sets import find_set


def test_benchmark_images_follow_the_protocol(photos) -> None:
    images = find_set(str(photos))
    item = BenchmarkImages(images, 3)[2]
    hr = modcrop(luma(read_image(images.paths[2])), 3)
    assert item["index"].tolist() == [2]
    assert np.array_equal(item["hr"][0, 0].numpy(), hr)
    lr = imresize(torch.from_numpy(hr.copy()), 1 / 3) / 255
    assert torch.allclose(item["lr"][0, 0], lr.float())
    assert item["lr"].unique().numel() > 256  # not quantised


def test_too_small_to_be_scored(tmp_path) -> None:
    Image.fromarray(np.zeros((20, 16), np.uint8)).save(tmp_path / "small.png")
    with pytest.raises(ImageError, match=r"small\.png: 20x16.*at least 19"):
        BenchmarkImages(find_set(str(tmp_path)), 3)[0]


def test_step_sampler_goes_on_where_training_stands() -> None:
    class Standing:
        def __init__(self, done: int) -> None:
            self.fit_loop = self.epoch_loop = self.batch_progress = self.total = self
            self.ready = done

    assert list(StepSampler(4, None)) == [0, 1, 2, 3]
    assert list(StepSampler(4, Standing(8))) == [8, 9, 10, 11]
    assert list(StepSampler(4, Standing(6))) == [6, 7]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 1}, "scale must be at least 2, got 1"),
        ({"scale": 3, "patch_size": 70}, "patch_size=70 must be a multiple of scale=3"),
        ({"scale": 3, "batch_size": 0}, "batch_size=0"),
        ({"scale": 3, "resized_copies": [1.5]}, "between 0 and 1"),
    ],
)
def test_senseless_numbers(options, message) -> None:
    with pytest.raises(UserError, match=message):
        SRDataModule(**options)


def test_own_folder_trains(photos) -> None:
    data = SRDataModule(3, [str(photos)], [str(photos)], patch_size=24, batch_size=4, num_workers=0)
    data.setup("fit")
    lr, hr = next(iter(data.train_dataloader()))
    assert (lr.shape, hr.shape) == ((4, 1, 8, 8), (4, 1, 24, 24))
    (loader,) = data.val_dataloader()
    assert len(loader) == 6


def test_nothing_to_train_on() -> None:
    with pytest.raises(UserError, match="train_sets is empty"):
        SRDataModule(3, train_sets=[]).setup("fit")
