import errno
import hashlib
import json
import math
import pickle
import re
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from fdnn import models
from fdnn.files.errors import UserError
from fdnn.files.provenance import RECORD_NAME
from fdnn.models import FDNN, VDSR, FDNNDeep
from fdnn.models.weights import (
    CKPT_KEY,
    FILE_NAME,
    describe,
    find_weights,
    load,
    load_weights,
    save_weights,
    start_weights,
)


@pytest.fixture
def net() -> FDNN:
    torch.manual_seed(0)
    return FDNN(3, channels=4)


def test_round_trip(tmp_path, net) -> None:
    save_weights(net, tmp_path / FILE_NAME)
    for path in (tmp_path, tmp_path / FILE_NAME):
        again = load(path)
        assert describe(again) == describe(net)
        assert not again.training
        lr = torch.rand(1, 1, 5, 5)
        assert torch.equal(again(lr), net(lr))


def test_weights_of_a_run_are_those_that_it_recorded(tmp_path, net) -> None:
    file, record = tmp_path / FILE_NAME, tmp_path / RECORD_NAME
    save_weights(net, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    for silent in ("{}", "[]", "no json", json.dumps({"weights_sha256": digest})):
        record.write_text(silent)
        load(file)
    changed = bytearray(file.read_bytes())
    changed[-1] ^= 1  # of the last weight; safetensors has no checksum of its own
    file.write_bytes(changed)
    with pytest.raises(UserError, match=rf"not the weights of .* says {digest[:12]}"):
        load(file)
    record.unlink()
    load(file)


def test_lightning_checkpoint(tmp_path, net) -> None:
    state = {f"net.{key}": value for key, value in net.state_dict().items()}
    torch.save({CKPT_KEY: describe(net), "state_dict": state}, tmp_path / "x.ckpt")
    assert torch.equal(load(tmp_path / "x.ckpt").fuse.weight, net.fuse.weight)


def test_other_scale_or_width(tmp_path, net) -> None:
    save_weights(net, tmp_path / FILE_NAME)
    with pytest.raises(UserError, match=r"weights are for FDNN\(scale=3.*asks for FDNN\(scale=2"):
        load_weights(FDNN(2, channels=4), tmp_path)


def test_start_from_another_scale(tmp_path, caplog) -> None:
    trained, net = FDNNDeep(3, channels=4), FDNNDeep(4, channels=4)
    before = net.up.weight.clone()
    save_weights(trained, tmp_path / FILE_NAME)
    start_weights(net, tmp_path)
    for ours, theirs in zip(net.restore, trained.restore, strict=True):
        assert torch.equal(ours.weight, theirs.weight)
    assert torch.equal(net.up.weight, before)
    assert "new: ['fuse.weight', 'up.bias', 'up.weight']" in caplog.text


def test_start_from_what_does_not_fit(tmp_path, net) -> None:
    save_weights(net, tmp_path / FILE_NAME)
    with pytest.raises(UserError, match=r"weights are for FDNN.*asks for FDNNDeep"):
        start_weights(FDNNDeep(3, channels=4), tmp_path)
    with pytest.raises(UserError, match="no kernel fits the network"):  # a bias would
        start_weights(FDNN(3, channels=5), tmp_path)


def test_one_file_for_several_scales(tmp_path, net) -> None:
    deep = VDSR(3, layers=3, channels=4)
    save_weights(deep, tmp_path / "model.safetensors")
    two = VDSR(2, layers=3, channels=4)
    load_weights(two, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(two.parameters(), deep.parameters(), strict=True))
    lr = torch.rand(1, 1, 5, 6)
    assert torch.equal(load(tmp_path, scale=2)(lr), two(lr))
    assert load(tmp_path).scale == 3
    with pytest.raises(UserError, match="weights are for VDSR"):
        load_weights(VDSR(2, layers=4, channels=4), tmp_path)
    save_weights(net, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=f"weights of FDNN serve x{net.scale} only, not x9"):
        load(tmp_path, scale=9)


def test_relative_paths_begin_here_then_in_the_source_tree(tmp_path, net, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = Path(models.__file__).parents[3] / "checkpoints/fdnn_x3/model.safetensors"
    assert find_weights("checkpoints/fdnn_x3") == find_weights("fdnn_x3") == shipped
    (tmp_path / "fdnn_x3").mkdir()  # one's own, without weights
    with pytest.raises(UserError, match="no weights at fdnn_x3"):
        find_weights("fdnn_x3")
    save_weights(net, tmp_path / "checkpoints/fdnn_x3" / FILE_NAME)
    assert find_weights("checkpoints/fdnn_x3").resolve() != shipped
    assert describe(load("checkpoints/fdnn_x3")) == describe(net)


def test_missing(tmp_path) -> None:
    with pytest.raises(UserError, match="no weights at"):
        load(tmp_path)


def test_changed_bytes_of_a_checkpoint(tmp_path, net) -> None:
    file = tmp_path / "x.ckpt"
    torch.save({CKPT_KEY: describe(net), "state_dict": net.state_dict()}, file)
    kernel = max(net.state_dict().values(), key=Tensor.numel).numpy().tobytes()
    content = file.read_bytes()
    assert content.count(kernel) == 1
    file.write_bytes(content.replace(kernel, bytes(4) + kernel[4:]))
    with pytest.raises(UserError, match="other bytes than were written"):
        load(file)


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
@pytest.mark.parametrize("damage", ["empty", "junk", "truncated"])
def test_damaged(tmp_path, net, suffix, damage) -> None:
    file = tmp_path / f"x{suffix}"
    if suffix == ".ckpt":
        torch.save({CKPT_KEY: describe(net), "state_dict": net.state_dict()}, file)
    else:
        save_weights(net, file)
    whole = file.read_bytes()
    file.write_bytes(
        {"empty": b"", "junk": b"junk" * 99, "truncated": whole[: len(whole) // 2]}[damage]
    )
    with pytest.raises(UserError, match="damaged"):
        load(file)


def test_code_in_a_checkpoint_is_not_run(tmp_path) -> None:
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    torch.save({CKPT_KEY: {}, "state_dict": {"net.x": Evil()}}, tmp_path / "evil.ckpt")
    (tmp_path / "raw.ckpt").write_bytes(pickle.dumps(Evil()))
    for name in ("evil.ckpt", "raw.ckpt"):
        with pytest.raises(UserError, match="damaged, or ") as refused:
            load(tmp_path / name)
        assert "weights_only" not in str(refused.value)  # PyTorch's advice would run the code
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"class": "system", "arguments": {}}, "unknown network"),
        ({"class": "FDNN", "arguments": {"scale": 99}}, "impossible network"),
        ({"class": "FDNN", "arguments": {"shell": "rm"}}, "impossible network"),
        ({"class": "FDNN", "arguments": {"scale": 3}}, "do not fit"),
        ({"class": "FDNN"}, "no description"),
        ({"class": "VDSR", "arguments": ["scale"]}, "no description"),
        ({"class": "VDSR", "arguments": None}, "no description"),
        (["FDNN"], "no description"),
    ],
)
def test_lying_description(tmp_path, net, description, message) -> None:
    save_file(net.state_dict(), tmp_path / "x.safetensors", {"network": json.dumps(description)})
    with pytest.raises(UserError, match=message):
        load(tmp_path / "x.safetensors")


def test_a_training_that_did_not_end_has_checkpoints(tmp_path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    with pytest.raises(UserError, match=r"did not end; .* such as .*/checkpoints/last\.ckpt$"):
        find_weights(tmp_path)


def test_weights_that_are_not_finite(tmp_path, net) -> None:
    with torch.no_grad():
        net.fuse.weight.fill_(math.nan)
    save_weights(net, tmp_path / FILE_NAME)
    with pytest.raises(UserError, match="weights are not finite"):
        load(tmp_path)


def test_foreign_safetensors(tmp_path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(UserError, match="no description"):
        load(tmp_path / "x.safetensors")


def lying(tmp_path, header: dict, data: bytes = b"") -> Path:
    text = json.dumps(header).encode()
    (tmp_path / "x.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    return tmp_path / "x.safetensors"


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]},
        {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1 << 62, 1 << 62], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]},
    ],
)
def test_lying_shapes(tmp_path, net, entry) -> None:
    header = {"__metadata__": {"network": json.dumps(describe(net))}, "x": entry}
    with pytest.raises(UserError, match="damaged, or not a weight file"):
        load(lying(tmp_path, header, bytes(4)))


def test_a_header_that_claims_to_be_gigabytes(tmp_path) -> None:
    (tmp_path / "x.safetensors").write_bytes((1 << 40).to_bytes(8, "little") + b"{}")
    with pytest.raises(UserError, match="damaged, or not a weight file"):
        load(tmp_path / "x.safetensors")


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_a_file_of_a_terabyte(tmp_path, suffix) -> None:
    with (tmp_path / f"x{suffix}").open("wb") as file:
        file.truncate(1 << 40)  # takes no room on the disk
    with pytest.raises(UserError, match="too many for weights"):
        load(tmp_path / f"x{suffix}")


@pytest.mark.parametrize(
    "arguments",
    [
        {"scale": 3, "channels": 10**9},
        {"scale": 3, "channels": 10**5},  # terabytes, if it were made
        {"scale": 3, "channels": -1},
        {"scale": 3, "channels": "4"},
        {"scale": 3, "channels": 4, "kernels": [10**6, 3], "upsample_at": 1},
        {"scale": 3, "channels": 4, "kernels": list(range(5000))},
        {"scale": 10**9, "channels": 4, "kernels": [10**9]},
    ],
)
def test_descriptions_of_networks_beyond_measure(tmp_path, net, arguments) -> None:
    refuse(tmp_path, net, "FDNN", arguments)


@pytest.mark.parametrize("scale", [40, 1000])
@pytest.mark.parametrize("name", sorted({*models.__all__} - {"Network"}))
def test_no_network_takes_memory_for_its_scale(tmp_path, net, name, scale) -> None:
    refuse(tmp_path, net, name, {"scale": scale} | ({"features": 4} if name == "APlus" else {}))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("SML", {"clusters": 4000, "atoms": 80}),
        ("SML", {"clusters": 10**5}),
        ("FDNN", {"channels": 1000}),
        ("VDSR", {"layers": 10**5}),
        ("ESCN", {"members": 10**5}),
        ("FSRCNN", {"m": 10**5}),
    ],
)
def test_no_network_takes_memory_for_its_parts(tmp_path, net, name, arguments) -> None:
    refuse(tmp_path, net, name, {"scale": 3} | arguments)


def refuse(tmp_path, net, name, arguments) -> None:
    description = json.dumps({"class": name, "arguments": arguments})
    save_file(net.state_dict(), tmp_path / "x.safetensors", {"network": description})
    Path("/proc/self/clear_refs").write_text("5")  # the peak of memory starts anew
    before = peak_kib()
    with pytest.raises(UserError, match=r"impossible network|do not fit|too long"):
        load(tmp_path / "x.safetensors")
    assert peak_kib() - before < 100 << 10


def peak_kib() -> int:
    (peak,) = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(peak)


def test_a_checkpoint_that_expands(tmp_path, net) -> None:
    state = {f"net.{key}": value for key, value in net.state_dict().items()}
    torch.save({CKPT_KEY: describe(net), "state_dict": state}, tmp_path / "plain.ckpt")
    with (
        zipfile.ZipFile(tmp_path / "plain.ckpt") as plain,
        zipfile.ZipFile(tmp_path / "x.ckpt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name) + bytes(10_000_000 * name.endswith("/0")))
    with pytest.raises(UserError, match="compressed archive"):
        load(tmp_path / "x.ckpt")


def test_a_full_disk_keeps_the_old_weights(tmp_path, net, monkeypatch) -> None:
    save_weights(net, tmp_path / FILE_NAME)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space"):
            save_weights(FDNN(3, channels=8), tmp_path / FILE_NAME)
    assert describe(load(tmp_path)) == describe(net)
    assert [p.name for p in tmp_path.iterdir()] == [FILE_NAME]
