"""Image files in, magnified image files out, through the Lightning Trainer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from torch.utils.data import DataLoader

from fdnn.errors import UserError
from fdnn.images import EXTENSIONS, list_images


def plan(inputs: Sequence[str], output: str, image_format: str | None) -> list[tuple[Path, Path]]:
    """Decide which file each input image becomes.

    Args:
        inputs: Image files, or folders of them.
        output: Folder for the results.
        image_format: Extension of the results, such as ``png``; default: that of each input.

    Returns:
        (source, target) pairs.

    Raises:
        UserError: If there is no input, two inputs would get the same name, a result would
            overwrite its source, or the format is unknown.
    """
    if not inputs:
        raise UserError("nothing to do; name images or folders with --input")
    suffix = f".{image_format.lower().lstrip('.')}" if image_format else None
    if suffix is not None and suffix not in EXTENSIONS:
        raise UserError(f"unknown --format {image_format!r}; use one of {sorted(EXTENSIONS)}")
    sources: list[Path] = []
    for name in inputs:
        path = Path(name).expanduser()
        if not path.exists():
            raise UserError(f"no such file or folder: {path}")
        sources += list_images(path) if path.is_dir() else [path]
    pairs: dict[Path, Path] = {}
    for source in sources:
        target = Path(output).expanduser() / source.with_suffix(suffix or source.suffix).name
        if target in pairs:
            raise UserError(f"{pairs[target]} and {source} would both become {target}")
        if target.resolve() == source.resolve():
            raise UserError(f"{source} would be overwritten; choose another --output folder")
        pairs[target] = source
    return [(source, target) for target, source in pairs.items()]


class Trainer(pl.Trainer):
    """Lightning's Trainer, whose ``predict`` takes images and writes images."""

    def predict(
        self,
        model: pl.LightningModule | None = None,
        dataloaders: Any = None,
        datamodule: pl.LightningDataModule | None = None,
        return_predictions: bool | None = None,
        ckpt_path: str | Path | None = None,
        weights_only: bool | None = None,
        input: str | list[str] | None = None,  # noqa: A002
        output: str = "upscaled",
        format: str | None = None,  # noqa: A002
        overwrite: bool = False,
    ) -> None:
        """Magnify images: the network works on luma, colour and alpha are kept.

        Args:
            model: A :class:`fdnn.module.SuperResolution`.
            dataloaders: Not used; the images come from ``input``.
            datamodule: Not used.
            return_predictions: Not used; results are written to files.
            ckpt_path: Weights: a folder, a .safetensors or a .ckpt file.
            weights_only: Not used; weight files are always read without running code.
            input: An image file or a folder of them, or several as ``[a.png, b]``.
            output: Folder for the results, which keep their names.
            format: Extension of the results, such as png; default: that of each input.
            overwrite: Replace results that exist already; otherwise they are skipped.

        Raises:
            UserError: If nothing can be done, or, after the others were written, if some
                images could not be.
        """
        inputs = [input] if isinstance(input, str) else input or []
        pairs = plan(inputs, output, format)
        todo = [(s, t) for s, t in pairs if overwrite or not t.exists()]
        if self.is_global_zero and len(todo) < len(pairs):
            print(f"{len(pairs) - len(todo)} results exist already and are kept (--overwrite true)")
        if todo:
            share = range(self.global_rank, len(todo), self.world_size)
            loader: DataLoader[Any] = DataLoader(todo, batch_size=None, sampler=share)  # type: ignore[arg-type]
            super().predict(model, loader, return_predictions=False)
        failures: list[str] = getattr(model, "failures", [])
        if failures:
            raise UserError(f"{len(failures)} of {len(todo)} failed: " + "; ".join(failures))
        if self.is_global_zero and todo:
            print(f"{len(todo)} images written to {Path(output).expanduser()}")
