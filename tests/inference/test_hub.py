import sys

import pytest
import torch

from fdnn import load
from fdnn.files.errors import UserError
from fdnn.models import FDNN
from fdnn.models.weights import FILE_NAME, save_weights


@pytest.fixture
def net() -> FDNN:
    torch.manual_seed(0)
    return FDNN(3, channels=4).eval()


def test_save_and_read_a_folder(tmp_path, net) -> None:
    pytest.importorskip("huggingface_hub")
    from fdnn.inference.hub import Pretrained

    Pretrained(net).save_pretrained(tmp_path / "x")
    assert (tmp_path / "x" / FILE_NAME).is_file()
    again = Pretrained.from_pretrained(tmp_path / "x").net
    lr = torch.rand(1, 1, 5, 6)
    assert torch.equal(again(lr), net(lr))
    assert torch.equal(load(tmp_path / "x")(lr), net(lr))


def test_a_repository_is_looked_up(tmp_path, net, monkeypatch) -> None:
    pytest.importorskip("huggingface_hub")
    from fdnn.inference import hub

    save_weights(net, tmp_path / FILE_NAME)
    asked = []

    def download(repository, file):
        asked.append((repository, file))
        return str(tmp_path / file)

    monkeypatch.setattr(hub, "hf_hub_download", download)
    assert isinstance(load("somebody/fdnn"), FDNN)
    assert asked == [("somebody/fdnn", FILE_NAME)]


def test_offline_is_one_line(monkeypatch) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"somebody/nothing-here") as caught:
        load("somebody/nothing-here")
    assert "\n" not in str(caught.value)


def test_without_the_library(monkeypatch) -> None:
    monkeypatch.delitem(sys.modules, "fdnn.inference.hub", raising=False)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[hub\]'"):
        load("somebody/fdnn")


def test_what_the_hub_s_own_libraries_raise_is_one_line(monkeypatch) -> None:
    pytest.importorskip("huggingface_hub")
    from fdnn.inference import hub

    def download(repository, file):
        raise ConnectionAbortedByProxy("403 Forbidden\nmore")

    class ConnectionAbortedByProxy(Exception):  # noqa: N818
        pass

    monkeypatch.setattr(hub, "hf_hub_download", download)
    with pytest.raises(UserError, match=r"nothing from the Hugging Face hub: 403 Forbidden$"):
        load("somebody/fdnn")
