import errno

import pytest
import torch
from PIL import Image

from fdnn.models import Bicubic
from fdnn.predict import work
from fdnn.predict.magnify import magnify_file
from fdnn.predict.work import Work

NET = Bicubic(2)


def do_three(tmp_path, monkeypatch, fault) -> Work:
    """Magnify three files, before the second of which ``fault`` is called."""

    def magnify(net, source, target, **options):
        if source.name == "b.png":
            fault()
        magnify_file(net, source, target, **options)

    monkeypatch.setattr(work, "magnify_file", magnify)
    share = Work()
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (6, 5)).save(tmp_path / name)
        share.do(NET, tmp_path / name, tmp_path / "out" / name)
    return share


def test_one_image_too_many_for_the_memory(tmp_path, monkeypatch) -> None:
    # As PyTorch says it, on the processor.
    share = do_three(tmp_path, monkeypatch, lambda: torch.empty(2**60, dtype=torch.uint8))
    assert share.failures == [f"{tmp_path}/b.png: not enough memory"]
    assert share.done == 2
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"a.png", "c.png"}


def test_a_full_disk_ends_the_work(tmp_path, monkeypatch) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left") as caught:
        do_three(tmp_path, monkeypatch, full)
    assert caught.value.filename == str(tmp_path / "out" / "b.png")


def test_other_errors_are_not_hidden(tmp_path, monkeypatch) -> None:
    def fault() -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        do_three(tmp_path, monkeypatch, fault)


def test_what_nobody_thought_of_fails_by_name(tmp_path, monkeypatch) -> None:
    def fault() -> None:
        raise TypeError("cannot handle\nthis")

    share = do_three(tmp_path, monkeypatch, fault)
    assert share.done == 2
    assert share.failures == [f"{tmp_path / 'b.png'}: TypeError: cannot handle this"]
