"""What a GPU computes is what the processor does; skipped where there is none."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fdnn
from fdnn.cli.trainer import main
from fdnn.data.teachers import Teachers
from fdnn.inference.tiles import full_float32
from fdnn.models import FDNN, FDNNDeep, Network
from fdnn.models.literal import LiteralFDNN
from fdnn.models.weights import FILE_NAME, load, save_weights
from fdnn.training.optim import MuonAdam

ROOT = Path(__file__).parents[1]
GPU = ["--trainer.accelerator", "gpu", "--trainer.devices", "1"]

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")


@pytest.fixture
def trained() -> Network:
    return load(ROOT / "checkpoints" / "fdnn_x3")


def losses(folder: Path) -> list[float]:
    rows = (folder / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("train/loss")
    return [float(row.split(",")[column]) for row in rows[1:] if row.split(",")[column]]


def test_published_scores_do_not_depend_on_the_device(data, tmp_path) -> None:
    def scores(name: str) -> dict[str, float]:
        command = ["test", "--config", str(ROOT / f"configs/{name}.yaml"), *GPU]
        command += ["--data.test_sets=[Set5]", "--wandb.mode", "disabled"]
        assert main([*command, "--trainer.default_root_dir", str(tmp_path)]) == 0
        (written,) = tmp_path.glob(f"{name}/*/benchmark.json")
        return json.loads(written.read_text())["sets"]["Set5"]

    for name in ("fdnn_x3", "fdnn_x4"):
        record = json.loads((ROOT / "checkpoints" / name / "benchmark.json").read_text())
        wanted = record["sets"]["Set5"]
        found = scores(name)
        assert found["psnr"] == pytest.approx(wanted["psnr"], abs=0.0002)
        assert found["ssim"] == pytest.approx(wanted["ssim"], abs=0.00001)


@torch.no_grad()
def test_deconvolutions_are_those_of_pytorch() -> None:
    """In float32 proper; TF32 would differ by a thousandth."""
    torch.manual_seed(0)
    for scale in (2, 3, 4):
        net = FDNN(scale, channels=16).cuda()
        lr = torch.rand(2, 1, 20, 17, device="cuda")
        with full_float32(lr.device):
            assert torch.allclose(net(lr), LiteralFDNN(net).cuda()(lr), atol=1e-5)


def test_images_come_out_as_on_the_processor(trained, random) -> None:
    image = random.integers(0, 256, (40, 30, 3), dtype=np.uint8)
    image = np.asarray(Image.fromarray(image).resize((90, 120), Image.Resampling.BICUBIC)) / 255
    cpu = fdnn.upscale(image.copy(), trained)
    assert np.abs(fdnn.upscale(image.copy(), trained.cuda()) - cpu).max() < 2e-5
    tensor = torch.from_numpy(image.copy()).permute(2, 0, 1).cuda()
    assert fdnn.upscale(tensor, trained).is_cuda


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_training(precision, tiny, tmp_path) -> None:
    """With Muon, averaged weights and clipped gradients; a resumed run goes on."""
    muon = ["--model.optimizer", "fdnn.training.optim.MuonAdam", "--model.compile", "true"]
    muon += ["--trainer.gradient_clip_val", "1", "--data.num_workers", "1"]
    fit = ["fit", *tiny, *GPU, *muon, "--data.steps_per_epoch", "20"]
    assert main([*fit, "--trainer.precision", precision]) == 0
    assert main([*fit, "--trainer.precision", precision, "--trainer.max_epochs", "4",
                 "--ckpt_path", "last"]) == 0  # fmt: skip
    folder = tmp_path / "logs" / "tiny" / "version_1"  # the log of the first is its beginning
    curve = losses(folder)
    assert len(curve) == 80
    assert np.mean(curve[-10:]) < 0.5 * np.mean(curve[:10])
    record = json.loads((folder / "run.json").read_text())
    assert torch.cuda.get_device_name() in record["hardware"]


def test_ddp_with_nccl_on_one_gpu(tiny, tmp_path) -> None:
    assert main(["fit", *tiny, *GPU, "--trainer.strategy", "ddp"]) == 0
    assert (tmp_path / "logs" / "tiny" / "version_0" / FILE_NAME).is_file()


def test_optimizer_takes_the_steps_of_the_processor() -> None:
    def trained(device: str) -> list[torch.Tensor]:
        torch.manual_seed(0)
        net = FDNNDeep(2, channels=8)
        lr = torch.rand(2, 1, 8, 8)
        net = net.to(device)
        optimizer = MuonAdam(net.parameters(), lr=1e-3)
        for _ in range(3):
            optimizer.zero_grad()
            net(lr.to(device)).square().mean().backward()
            optimizer.step()
        return [p.detach().cpu() for p in net.parameters()]

    for mine, theirs in zip(trained("cuda"), trained("cpu"), strict=True):
        assert torch.allclose(mine, theirs, atol=2e-4)


@torch.no_grad()
def test_teachers_say_what_they_say_on_the_processor(tmp_path, random, monkeypatch) -> None:
    torch.manual_seed(0)
    save_weights(FDNNDeep(3, channels=16, pairs=2), tmp_path / FILE_NAME)
    small = random.integers(0, 256, (8, 8), dtype=np.uint8)
    lr = np.asarray(Image.fromarray(small).resize((40, 30), Image.Resampling.BICUBIC), np.float32)
    target = Teachers([str(tmp_path)], 3).target(lr)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert np.abs(target.astype(int) - Teachers([str(tmp_path)], 3).target(lr)).max() <= 1


def test_too_little_memory_is_one_line(tiny, capsys) -> None:
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.001)
    try:
        status = main(["fit", *tiny, *GPU, "--data.batch_size", "4000",
                       "--model.net.init_args.channels", "64"])  # fmt: skip
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()
    assert status == 1
    error = capsys.readouterr().err
    assert "memory" in error
    assert "--data.batch_size" in error
