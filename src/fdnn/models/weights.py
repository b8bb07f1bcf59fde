"""Weight files: a network and its trained parameters, in safetensors.

The file's metadata says which network it belongs to, so that one file is enough to load
it. Loading never unpickles code: safetensors cannot hold any, and Lightning's ``.ckpt``
files are read with ``weights_only=True``.
"""

from __future__ import annotations

import json
import logging
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from fdnn import models
from fdnn.files.atomic import replacing
from fdnn.files.digest import sha256
from fdnn.files.errors import UserError, first_line, words
from fdnn.files.home import expanded
from fdnn.files.provenance import RECORD_NAME
from fdnn.models import Network

log = logging.getLogger(__name__)

FILE_NAME = "model.safetensors"
#: The source tree, in a clone of the repository.
SOURCE = Path(__file__).parents[3]
_CLONE = SOURCE / "checkpoints"
#: The shipped weights: all of them in a clone, FDNN's in an installed package.
SHIPPED = (
    _CLONE
    if (SOURCE / "configs").is_dir() and _CLONE.is_dir()
    else Path(__file__).parents[1] / "weights"
)
#: Key of a ``.ckpt`` under which the description of the network lies.
CKPT_KEY = "fdnn_network"
#: Weights have some MiB. A file beyond this is not read, whatever it says it is.
MAX_BYTES = 2 << 30
#: Characters of a description, written as JSON; ours have less than 200.
MAX_DESCRIPTION = 4096
#: Largest number in it: so many layers take memory even without weights. A+ has 1,024 atoms.
MAX_NUMBER = 4096


def describe(net: Network) -> dict[str, Any]:
    """Say which network this is: its class name in ``fdnn.models`` and its arguments."""
    return {"class": type(net).__name__, "arguments": net.arguments}


def save_weights(net: Network, path: Path) -> None:
    """Write a network's parameters and description to a safetensors file.

    The file appears whole or not at all.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    content = save(state, metadata={"network": json.dumps(describe(net))})
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def find_weights(path: Path | str) -> Path:
    """Resolve a weight file: a file itself, or a folder that holds ``model.safetensors``.

    A relative path starts in the current folder or, if nothing is there, in the source tree:
    the shipped configs name shipped weights, and may be used from any folder. So may the names of
    shipped weights, such as ``fdnn_x3``, where no file or folder is called so.

    Raises:
        UserError: If there is none.
    """
    path = expanded(path)
    places = [path, SOURCE / path]
    if not path.exists():
        places.append(SHIPPED / path)
    for place in places:
        file = place / FILE_NAME if place.is_dir() else place
        if file.is_file():
            return file
    if unfinished := sorted(path.glob("checkpoints/*.ckpt")):
        raise UserError(
            f"no {FILE_NAME} in {path}, whose training did not end; go on with it, or name a "
            f"checkpoint such as {unfinished[-1]}"
        )
    raise UserError(
        f"no weights at {path}; train them with 'fit', or name a folder with "
        f"{FILE_NAME}, a .safetensors or a .ckpt file"
    )


def read_weights(file: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a ``.safetensors`` file or a Lightning ``.ckpt``.

    A ``.ckpt`` of a run with weight averaging holds the averaged weights here.

    Returns:
        The network's description, see :func:`describe`, and its state dict.

    Raises:
        UserError: If the file is damaged, holds anything but plain tensors and values, was not
            written by this project, or is not what the record of its run beside it names.
    """
    try:
        _check_size(file)
        _check_record(file)
        if file.suffix == ".ckpt":
            checkpoint = torch.load(file, map_location="cpu", weights_only=True)
            description = checkpoint[CKPT_KEY]
            prefix = "net."
            state = {
                key.removeprefix(prefix): value
                for key, value in checkpoint["state_dict"].items()
                if key.startswith(prefix)
            }
        else:
            with safe_open(file, framework="pt") as opened:
                description = json.loads((opened.metadata() or {})["network"])
                state = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        if not isinstance(description, dict) or not {"class", "arguments"} <= description.keys():
            raise KeyError("network")
        if not isinstance(description["arguments"], dict):
            raise TypeError("arguments have no names")
        if not all(isinstance(value, Tensor) for value in state.values()):
            raise TypeError("not tensors")
        if not all(bool(value.isfinite().all()) for value in state.values()):
            raise ValueError("weights are not finite")
        if len(json.dumps(description)) > MAX_DESCRIPTION:
            raise ValueError("its description of the network is too long")
    except UserError:
        raise
    except (KeyError, TypeError):
        raise UserError(f"{file}: holds no FDNN weights (no description of the network)") from None
    except pickle.UnpicklingError:
        raise UserError(
            f"{file}: damaged, or holds objects that could run code; only tensors are read. Use "
            "weights in a .safetensors file"
        ) from None
    except Exception as error:  # torch.load has no list of what it raises for a damaged file
        reason = first_line(error)
        raise UserError(f"{file}: damaged, or not a weight file ({reason})") from None
    return description, state


def _check_size(file: Path) -> None:
    """Refuse what could take much more memory than its content is worth.

    Raises:
        UserError: If the file is too large.
        ValueError: If a ``.ckpt`` is not the plain archive that PyTorch writes, in which each
            entry takes as many bytes as it says, and has its checksum.
    """
    size = file.stat().st_size
    if size > MAX_BYTES:
        raise UserError(f"{file}: {size:,} bytes are too many for weights ({MAX_BYTES:,} at most)")
    if file.suffix != ".ckpt":
        return
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > size or any(
            entry.compress_type != zipfile.ZIP_STORED for entry in entries
        ):
            raise ValueError("a compressed archive")
        damaged = archive.testzip()
    if damaged:
        raise ValueError(f"other bytes than were written in {damaged}")


def _check_record(file: Path) -> None:
    """Compare the weights of a run with the SHA-256 in the run's record, where there is one.

    Raises:
        UserError: If they are others.
    """
    record = file.parent / RECORD_NAME
    if file.name != FILE_NAME or not record.is_file():
        return
    try:
        wanted = json.loads(record.read_text(encoding="utf-8")).get("weights_sha256")
    except (OSError, ValueError, AttributeError):  # a record that says nothing
        return
    found = sha256(file)
    if wanted not in (None, found):
        raise UserError(
            f"{file}: not the weights of the run beside it: their SHA-256 is {found[:12]}…, "
            f"{RECORD_NAME} says {str(wanted)[:12]}…; copy them anew, or remove {RECORD_NAME} if "
            "they were meant to change"
        )


def load_weights(net: Network, path: Path | str) -> Path:
    """Load trained parameters into a network that was made for them.

    Args:
        net: The network to fill; one for any scale also takes the weights of another scale.
        path: See :func:`find_weights`.

    Returns:
        The file that was read.

    Raises:
        UserError: If the weights belong to another network or scale, or are damaged.
    """
    file = find_weights(path)
    description, state = read_weights(file)
    check_network(net, description, file)
    _fill(net, state, file)
    return file


def check_network(net: Network, description: dict[str, Any], file: Path) -> None:
    """Compare a network with the one that a file's weights belong to.

    Raises:
        UserError: If they differ.
    """
    arguments = dict(description["arguments"])
    if net.any_scale and "scale" in arguments:
        arguments["scale"] = net.scale
    if {**description, "arguments": arguments} != describe(net):
        raise UserError(
            f"{file}: weights are for {_spell(description)}, the config asks for "
            f"{_spell(describe(net))}"
        )


def start_weights(net: Network, path: Path | str) -> Path:
    """Load trained parameters that training starts from, of this network or of a relative.

    Weights of the same kind of network with other arguments, such as another scale, give those
    parameters whose names and shapes agree; a log line names the others, which stay as they are.

    Args:
        net: The network to fill.
        path: See :func:`find_weights`.

    Returns:
        The file that was read.

    Raises:
        UserError: If the weights belong to another kind of network, have no kernel that fits, or
            are damaged.
    """
    file = find_weights(path)
    description, state = read_weights(file)
    if description == describe(net) or description["class"] != type(net).__name__:
        return load_weights(net, path)
    own = net.state_dict()
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    left = sorted(own.keys() - fitting.keys())
    if not any(value.dim() > 1 for value in fitting.values()):
        raise UserError(f"{file}: no kernel fits the network that is to be trained")
    net.load_state_dict(fitting, strict=False)
    log.warning("started from %s, which is for %s; new: %s", file, _spell(description), left)
    return file


def load(path: Path | str, scale: int | None = None) -> Network:
    """Make the network that a weight file describes, with its parameters, ready for use.

    Args:
        path: See :func:`find_weights`.
        scale: Magnification; default: that of the file. Weights for any scale, such as VDSR's,
            leave the choice.

    Returns:
        The network in evaluation mode.

    Raises:
        UserError: If the file is missing, damaged, describes an unknown network, or serves
            another scale.
    """
    file = find_weights(path)
    description, state = read_weights(file)
    if description["class"] not in models.__all__:
        raise UserError(f"{file}: unknown network {description['class']!r}")
    make = getattr(models, description["class"])
    try:
        numbers = re.findall(r"\d+", json.dumps(description["arguments"]))
        if max(map(int, numbers), default=0) > MAX_NUMBER:
            raise ValueError(f"a number above {MAX_NUMBER}")
        # First without memory: only a network that the parameters fit is made in earnest.
        with torch.device("meta"):
            outline: Network = make(**description["arguments"])
    except Exception as error:  # whatever comes of arguments that nobody checked
        reason = words(error)[:300]
        raise UserError(f"{file}: impossible network {_spell(description)} ({reason})") from None
    _check_shapes(outline, state, file)
    net: Network = make(**description["arguments"])
    _fill(net, state, file)
    try:
        return net.at(net.scale if scale is None else scale).eval()
    except ValueError as error:
        raise UserError(f"{file}: {error}") from None


def _check_shapes(net: Network, state: dict[str, Tensor], file: Path) -> None:
    wanted = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    for key in sorted(wanted.keys() | state.keys()):
        found = tuple(state[key].shape) if key in state else None
        if wanted.get(key) != found:
            raise UserError(
                f"{file}: parameters do not fit the network ({key}: {found}, "
                f"should be {wanted.get(key)})"
            )


def _fill(net: Network, state: dict[str, Tensor], file: Path) -> None:
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        reason = words(error)[:300]
        raise UserError(f"{file}: parameters do not fit the network ({reason})") from None


def _spell(description: dict[str, Any]) -> str:
    arguments = ", ".join(f"{k}={v}" for k, v in description["arguments"].items())
    return f"{description['class']}({arguments})"
