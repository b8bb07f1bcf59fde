"""Image files in, magnified image files out, through the Lightning Trainer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from torch.utils.data import DataLoader

from fdnn.files.errors import UserError
from fdnn.files.home import expanded
from fdnn.images.io import MAX_PIXELS
from fdnn.models.weights import load_weights
from fdnn.predict.plan import Job, plan, to_do
from fdnn.predict.work import Work
from fdnn.training.module import SuperResolution


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
        suffix: str = "",
        overwrite: bool = False,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        """Magnify images: the network works on luma, colour and alpha are kept.

        Args:
            model: A :class:`fdnn.training.module.SuperResolution`.
            dataloaders: Not used; the images come from ``input``.
            datamodule: Not used.
            return_predictions: Not used; results are written to files.
            ckpt_path: Weights: a folder, a .safetensors or a .ckpt file; default: the model's own.
            weights_only: Not used; weight files are always read without running code.
            input: An image, animation or video; a folder, whose folders below are kept in
                the output; a pattern in quotes, such as 'photos/**/*.png'; or several as
                ``[a.png, b]``.
            output: Folder for the results, which keep their names.
            format: Extension of the results, such as png, or of videos, such as mp4;
                default: that of each input.
            suffix: Goes between name and extension of the results, such as _x3.
            overwrite: Replace results that exist already; otherwise they are skipped.
            max_pixels: Refuse images, or frames, with more pixels than this.

        Raises:
            UserError: If nothing can be done, or, after the others were written, if some
                images could not be.
        """
        inputs = [input] if isinstance(input, str) else input or []
        if max_pixels < 1:
            raise UserError(f"--max_pixels must be at least 1, got {max_pixels}")
        jobs = plan(inputs, output, format, suffix)
        folder = expanded(output)
        _check_writable(folder)
        # Shares are cut from the full list, which is the same in every process whatever the
        # others have written by now. Nobody comes without a share: Lightning insists.
        share = jobs[self.global_rank :: self.world_size]
        assert isinstance(model, SuperResolution)
        todo = to_do(share, model.net.scale, overwrite)
        kept = len(share) - len(todo)
        if self.is_global_zero and kept:
            some = "of this process's share " if self.world_size > 1 else ""
            print(f"{kept} results {some}exist and are kept; --overwrite true replaces them")
        if not todo and self.world_size == 1:
            return
        mine: list[Job | None] = [*todo] or [None]
        if ckpt_path is not None:
            model.weights_file = load_weights(model.net, ckpt_path)
        model.work = work = Work(max_pixels)
        loader: DataLoader[Any] = DataLoader(mine, batch_size=None)  # type: ignore[arg-type]
        super().predict(model, loader, return_predictions=False)
        if not self.is_global_zero:
            return
        if work.failures:
            failed, total = len(work.failures), work.done + len(work.failures)
            raise UserError(f"{failed} of {total} failed: " + "; ".join(work.failures))
        print(f"{work.done} images written to {folder}")


def _check_writable(folder: Path) -> None:
    """Notice before the work, not after it, that results could not be written."""
    existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not existing.is_dir():
        raise UserError(f"--output {folder}: {existing} is a file, not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UserError(f"--output {folder}: {existing} cannot be written to")
