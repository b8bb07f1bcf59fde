"""Networks on the Hugging Face hub, through the library's own mixin; the extra ``fdnn[hub]``.

    Pretrained(net).push_to_hub("owner/name")
    net = Pretrained.from_pretrained("owner/name").net

The mixin wraps networks instead of being their base class, for two reasons: networks work
without the library, and what is exchanged is this project's own ``model.safetensors`` (the
mixin for PyTorch modules would fall back to pickled files).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fdnn.files.errors import UserError, first_line
from fdnn.models import Network
from fdnn.models.weights import FILE_NAME, describe, load, save_weights

try:
    from huggingface_hub import ModelHubMixin, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
except ImportError as error:
    raise UserError(
        "weights from the Hugging Face hub need huggingface_hub; pip install -e '.[hub]'"
    ) from error


class Pretrained(
    ModelHubMixin,
    library_name="fdnn",
    pipeline_tag="image-to-image",
    tags=["super-resolution"],
    license="mit",
):
    """A network that can be saved to and read from the hub, or a folder laid out like it.

    Args:
        net: Any network of :mod:`fdnn.models`.
    """

    def __init__(self, net: Network) -> None:
        self.net = net

    def _save_pretrained(self, save_directory: Path) -> None:
        save_weights(self.net, save_directory / FILE_NAME)
        # Says nothing that the weights do not say; the hub counts downloads by this file.
        config = json.dumps(describe(self.net), indent=1) + "\n"
        (save_directory / "config.json").write_text(config, encoding="utf-8")

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        **kwargs: Any,  # noqa: ARG003
    ) -> Pretrained:
        if Path(model_id).is_dir():
            return cls(load(model_id))
        file = hf_hub_download(
            model_id,
            FILE_NAME,
            revision=revision,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
        )
        return cls(load(file))


def from_hub(name: str, scale: int | None = None) -> Network:
    """Load a network from a repository on the hub; a copy stays in the hub's cache.

    Args:
        name: ``owner/name``.
        scale: Magnification, where the weights leave the choice.

    Returns:
        The network in evaluation mode.

    Raises:
        UserError: If the repository cannot be reached or holds no weights of this project.
    """
    try:
        file = hf_hub_download(name, FILE_NAME)
    except Exception as error:  # also those of the library's own libraries
        lacking = isinstance(error, EntryNotFoundError)
        lacking = lacking and not isinstance(error, LocalEntryNotFoundError)
        reason = f"the repository holds no {FILE_NAME}" if lacking else first_line(error)
        raise UserError(
            f"no path {name}, and nothing from the Hugging Face hub: {reason}"
        ) from None
    return load(file, scale)
