import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from fdnn import models
from fdnn.cli.trainer import main
from fdnn.data.sets import find_set
from fdnn.models.weights import FILE_NAME, load_weights

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(p for p in (ROOT / "configs").glob("*.yaml") if not p.stem.startswith("sweep"))
NET_X3 = "{class_path: FDNN, init_args: {channels: 4, scale: 3}}"
EPOCHS = ["--trainer.max_epochs", "3"]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_parse(config: Path, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["fit", "--config", str(config), "--print_config"])
    assert end.value.code == 0
    parsed = yaml.safe_load(capsys.readouterr().out)
    assert parsed["data"]["patch_size"] % parsed["data"]["scale"] == 0
    assert not {"Set14", "B100"} & {*parsed["data"]["train_sets"], *parsed["data"]["val_sets"]}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_weights_that_a_training_begins_with_are_shipped_or_made(config: Path) -> None:
    options = yaml.safe_load(config.read_text())
    start = options["model"].get("start")
    for path in [*options["data"].get("teachers", []), *([start] if start else [])]:
        assert (ROOT / path / FILE_NAME).is_file(), path


#: Configs of networks that have no weights here yet.
WITHOUT_WEIGHTS = {"drcn_x3", "drcn_x4", "red30_x3", "red30_x4"}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_weights_of_a_config_are_those_of_its_network(config: Path) -> None:
    options = yaml.safe_load(config.read_text())
    weights = options["model"].get("weights")
    if weights is None or not (ROOT / weights).exists():
        assert config.stem in WITHOUT_WEIGHTS or weights is None
        return
    assert config.stem not in WITHOUT_WEIGHTS
    net = options["model"]["net"]
    made = getattr(models, net["class_path"].rpartition(".")[2])
    load_weights(made(scale=options["data"]["scale"], **net.get("init_args", {})), ROOT / weights)


def test_papers_recipe() -> None:
    for scale in (3, 4):
        config = yaml.safe_load((ROOT / "configs" / f"fdnn_paper_x{scale}.yaml").read_text())
        optimizer = config["model"]["optimizer"]
        assert optimizer["class_path"] == "torch.optim.Adam"
        assert optimizer["init_args"] == {"lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8}
        assert config["model"]["schedule"] == "constant"
        loss = config["model"]["loss"]
        assert loss["class_path"] == "fdnn.training.losses.MSEKLLoss"
        assert loss.get("init_args", {}).get("kl_weight", 1.0) == 1.0
        assert config["model"]["net"] == {
            "class_path": "fdnn.models.FDNN", "init_args": {"channels": 64},
        }  # fmt: skip
        assert config["data"]["train_sets"] == ["T91", "BSDS200"]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_fit_their_training_images(config: Path, data) -> None:
    options = yaml.safe_load(config.read_text())["data"]
    if "patch_size" not in options:
        pytest.skip("trains nothing")
    for name in options["train_sets"]:
        for path in find_set(name, data).paths:
            with Image.open(path) as image:
                fits = min(image.size) >= options["patch_size"]
            assert fits or options.get("on_error") == "skip", path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.net.init_args.scale", "3"], "would do nothing; set --data.scale"),
        (["--model.net.scale=3"], "would do nothing; set --data.scale"),
        (["--config", "scale.yaml"], "scale=3 would do nothing beside data.scale=2"),
        (["--config", "seed.yaml"], "data.seed=5 would do nothing beside seed_everything=0"),
        (["--data", "{seed: 5}"], "--data: data.seed=5 would do nothing beside seed_every"),
        (["--model.net", NET_X3], "--model.net: model.net.init_args.scale=3 would do noth"),
        (["--config", "outer.yaml"], "outer.yaml: data.seed=5 would do nothing beside"),
        (["--data", "deep.yaml"], "more than 50 levels"),
        (["--config", "inner.yaml"], "more than 50 levels"),
        (["--data", "latin.yaml"], "not UTF-8"),
        (["--config", "blank.yaml"], "data.batch_size has no value; give one"),
        (["--config", "void.yaml"], "trainer.accumulate_grad_batches has no value; give"),
        (["--config", "empty.yaml"], "config empty.yaml: empty"),
        (["--config", "comment.yaml"], "config comment.yaml: holds no options"),
        (["--config", "list.yaml"], "config list.yaml: holds no options"),
        ([*EPOCHS, "--config", "ten.yaml"], "max_epochs would do nothing: --config ten."),
        (["--model.net.channels=4", "--config=net.yaml"], "channels would do nothing: --"),
        (["--config", "twice.yaml"], "config twice.yaml: 'data' stands twice in the part"),
        (["--trainer.max_epochs=3", "-c", "ten.yaml"], "max_epochs would do nothing: --con"),
        (["--config", "open.yaml"], "in open.yaml, line 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_config_is_one_line(tiny, tmp_path, capsys, options, message) -> None:
    configs = {
        "blank": "data:\n  batch_size:\n",
        "empty": "",
        "twice": "data:\n  seed: 0\ndata:\n  scale: 2",
        "comment": "# nothing",
        "list": "- a\n- b",
        "ten": "trainer: {max_epochs: 10}",
        "net": "model: {net: {class_path: FDNN, init_args: {channels: 8}}}",
        "open": "a: [3",
        "scale": "model: {net: {init_args: {scale: 3}}}",
        "seed": "data: {seed: 5}",
        "part": "seed: 5",
        "outer": "data: part.yaml",
        "void": "trainer: {accumulate_grad_batches: }",
        "deep": "[" * 100_000,
        "inner": "data: deep.yaml",
    }
    for name, content in configs.items():
        (tmp_path / f"{name}.yaml").write_text(content)
    (tmp_path / "latin.yaml").write_bytes(b"scale: 2  # \xe9")
    assert main(["fit", *tiny, *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "section",
    [
        {"net": {"class_path": "evil.Net"}},
        {"net": "os.system"},
        {"optimizer": "subprocess.run"},
        {"optimizer": {"class_path": "torch.hub.load"}},
        {"loss": {"class_path": "lightning.pytorch.callbacks.model_checkpoint.os.system"}},
        {"loss": {"class_path": "torch.nn.Module"}},
    ],
    ids=str,
)
def test_a_config_names_nothing_outside(tiny, tmp_path, monkeypatch, capsys, section) -> None:
    (tmp_path / "evil.py").write_text("open('owned', 'w')\nclass Net: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "theirs.yaml").write_text(yaml.safe_dump({"model": section}))
    assert main(["fit", *tiny, "--config", "theirs.yaml"]) == 1
    error = capsys.readouterr().err
    assert "a config may name classes of fdnn.training.averaging, " in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "owned").exists()
    assert not (tmp_path / "logs").exists()


def test_a_package_that_is_trusted_can_be_named(tiny, tmp_path, monkeypatch, capsys) -> None:
    text = "import torch\nclass Loss(torch.nn.Module):\n  def forward(self, sr, hr):\n"
    (tmp_path / "ours.py").write_text(text + "    return {'loss': (sr - hr).abs().mean()}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "ours.yaml").write_text(yaml.safe_dump({"model": {"loss": "ours.Loss"}}))
    command = ["fit", *tiny, "--config", "ours.yaml", "--trainer.max_epochs", "1"]
    assert main(command) == 1
    assert "set FDNN_IMPORTS=ours" in capsys.readouterr().err
    monkeypatch.setenv("FDNN_IMPORTS", "ours")
    assert main(command) == 0
    assert Path("logs/ours/version_0/run.json").is_file()  # the last config names the run


OWN = """
import torch
from fdnn.models import FDNN

class Loss(torch.nn.Module):
    def forward(self, sr, hr):
        return (sr - hr).square().mean()

class NoScalar(Loss):
    def forward(self, sr, hr):
        return {"loss": sr - hr}

class Float(Loss):
    def forward(self, sr, hr):
        return {"loss": (sr - hr).square().mean(), "mse": 0.5}

class Learned(Loss):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

class Pair(FDNN):
    def forward(self, lr):
        return lr, lr

class Small(FDNN):
    def forward(self, lr):
        return lr
"""


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"loss": "own.Loss"},
            "'loss' among them (see src/fdnn/training/losses.py), got Tensor: ()",
        ),
        ({"loss": "own.NoScalar"}, "got loss: (4, 1, 16, 16)"),
        ({"loss": "own.Float"}, "got loss: (), mse: float"),
        ({"net": {"class_path": "own.Pair"}}, "made tuple of (4, 1, 8, 8), not (4, 1, 16"),
        ({"loss": "own.Learned"}, "model.loss has parameters, and only the network's are trained"),
        ({"net": {"class_path": "own.Small"}}, "made (4, 1, 8, 8) of (4, 1, 8, 8), not (4, 1, 16"),
    ],
    ids=str,
)
def test_what_is_wrong_with_own_code(tiny, tmp_path, monkeypatch, capsys, section, message) -> None:
    monkeypatch.delitem(sys.modules, "own", raising=False)
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("FDNN_IMPORTS", "own")
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"model": section}))
    assert main(["fit", *tiny, "--config", "own.yaml"]) == 1
    assert message in capsys.readouterr().err.splitlines()[-1]
