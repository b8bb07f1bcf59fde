import pytest
import torch

from fdnn.files.errors import UserError
from fdnn.inference import pretrained
from fdnn.models import FDNN
from fdnn.models.weights import FILE_NAME, save_weights
from fdnn.models.weights import load as load_file


def same(a, b) -> bool:
    lr = torch.rand(1, 1, 5, 6)
    with torch.no_grad():
        return torch.equal(a(lr), b(lr))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_shipped_names(scale) -> None:
    net = pretrained.load(f"fdnn_x{scale}")
    assert net.scale == scale
    assert not net.training
    assert same(net, load_file(pretrained.SHIPPED / f"fdnn_x{scale}"))


def test_paths(tmp_path, monkeypatch) -> None:
    net = FDNN(2, channels=4)
    save_weights(net, tmp_path / "mine" / FILE_NAME)
    for name in (tmp_path / "mine", str(tmp_path / "mine"), str(tmp_path / "mine" / FILE_NAME)):
        assert same(pretrained.load(name), net)
    monkeypatch.chdir(tmp_path)
    assert same(pretrained.load("mine"), net)


@pytest.mark.parametrize("name", ["fdnn_x9", "/none/at/all", "folder/fdnn_x9", "a/b.ckpt", ""])
def test_unknown(tmp_path, monkeypatch, name) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no weights"):
        pretrained.load(name)


def test_neither_name_nor_whole_scale() -> None:
    with pytest.raises(TypeError, match="load takes a name or a path, got int"):
        pretrained.load(7)
    with pytest.raises(UserError, match=r"scale must be a whole number, 2 to 8, got 2\.5"):
        pretrained.load("vdsr_x3", 2.5)
    with pytest.raises(UserError, match=r"scale must be a whole number, 2 to 8, got '3'"):
        pretrained.load("fdnn_x3", "3")


def test_paths_of_the_source_tree_from_another_folder(tmp_path, monkeypatch) -> None:
    """As on the command line; nobody is asked for a repository ``checkpoints/fdnn_x3``."""
    monkeypatch.chdir(tmp_path)
    assert same(pretrained.load("checkpoints/fdnn_x3"), pretrained.load("fdnn_x3"))
    with pytest.raises(UserError, match=r"no weights 'checkpoints/nope'"):
        pretrained.load("checkpoints/nope")
