"""Trained networks by name: those shipped with the source, files, the Hugging Face hub."""

from __future__ import annotations

import re
from numbers import Integral
from pathlib import Path

from fdnn.files.errors import UserError
from fdnn.files.home import expanded
from fdnn.models import Network, weights
from fdnn.models.network import MAX_SCALE

#: The weights that come with the program.
SHIPPED = weights.SHIPPED

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def load(name: str | Path | None = None, scale: int | None = None) -> Network:
    """Make a trained network, ready for use.

    Args:
        name: ``None``: FDNN's weights for ``scale``, or for x3. The name of shipped weights, such
            as ``fdnn_x3``; or a path to a folder with
            ``model.safetensors``, a .safetensors or a .ckpt file; or the id of a repository
            ``owner/name`` on the Hugging Face hub that holds a ``model.safetensors`` of this
            project (needs the extra ``fdnn[hub]``). Names of shipped weights come first, then
            existing paths, from the current folder or from the source tree.
        scale: Magnification, where the weights leave the choice, such as VDSR's.

    Returns:
        The network in evaluation mode, on the CPU.

    Raises:
        TypeError: If ``name`` is neither a name nor a path.
        UserError: If there are no such weights, they are damaged, describe an unknown
            network or serve another scale, ``scale`` is no whole number, or the hub cannot be
            reached.
    """
    if name is None:
        name = f"fdnn_x{scale or 3}"
    if not isinstance(name, str | Path):
        raise TypeError(f"load takes a name or a path, got {type(name).__name__}")
    if scale is not None and not isinstance(scale, Integral):
        raise UserError(f"scale must be a whole number, 2 to {MAX_SCALE}, got {scale!r}")
    text = str(name)
    if text in shipped():
        return weights.load(SHIPPED / text, scale)
    if any(place.exists() for place in _places(name)):
        return weights.load(name, scale)
    if isinstance(name, str) and _is_hub_id(name):
        from fdnn.inference.hub import from_hub

        return from_hub(name, scale)
    raise UserError(
        f"no weights {text!r}; name shipped ones ({', '.join(shipped()) or 'none here'}; a clone "
        "of the repository has more), a path, or a Hugging Face id owner/name"
    )


def shipped() -> list[str]:
    """List the names of the shipped weights."""
    return sorted(file.parent.name for file in SHIPPED.glob(f"*/{weights.FILE_NAME}"))


def _places(name: str | Path) -> list[Path]:
    """List where a path may lead, see :func:`fdnn.models.weights.find_weights`."""
    path = expanded(name)
    return [path, weights.SOURCE / path]


def _is_hub_id(name: str) -> bool:
    # "checkpoints/fdnn_x9" is a path with a mistake, not somebody's repository.
    looks_like_file = Path(name).suffix in {".safetensors", ".ckpt", ".pt", ".pth"}
    below_a_folder = any(place.parent.is_dir() for place in _places(name))
    return bool(HUB_ID.fullmatch(name)) and not looks_like_file and not below_a_folder
