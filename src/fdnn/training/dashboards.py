"""What goes to Weights & Biases beside the logged numbers: weights, scores by image, pictures.

Everything is written to offline runs too; docs/wandb.md says how to read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger

from fdnn.evaluation.metrics import SetScores
from fdnn.evaluation.published import TABLE_2, method
from fdnn.evaluation.report import JSON_NAME
from fdnn.evaluation.strips import strip
from fdnn.files.provenance import RECORD_NAME
from fdnn.models import Network
from fdnn.models.weights import FILE_NAME

#: What an artifact of weights holds, as far as it is in the run's folder.
ARTIFACT_FILES = (FILE_NAME, "README.md", "config.yaml", RECORD_NAME, JSON_NAME)


def log_weights(logger: WandbLogger, folder: Path, name: str) -> None:
    """Add the weights of a run, their card, config and record as a versioned artifact."""
    import wandb

    artifact = wandb.Artifact(name.lower(), type="model")
    for file in ARTIFACT_FILES:
        if (folder / file).is_file():
            artifact.add_file(str(folder / file))
    logger.experiment.log_artifact(artifact)


def log_benchmark(
    logger: WandbLogger, results: Mapping[str, SetScores], net: Network, title: str, strips: int
) -> None:
    """Add the scores of a test as the table ``benchmark``, one row for each image.

    Args:
        logger: Of the test's run.
        results: Scores by set name.
        net: What was tested.
        title: What tables call it.
        strips: So many images of each set get a picture: bicubic | network | original.
    """
    import wandb

    table = wandb.Table(columns=["set", "image", "psnr", "ssim", "paper_psnr", "picture"])
    for set_name, scores in results.items():
        images = scores.images
        rows = zip(images.paths, images.titles(), scores.per_image, strict=True)
        for i, (path, image, (psnr, ssim)) in enumerate(rows):
            picture: Any = wandb.Image(strip(path, {title: net}, net.scale)) if i < strips else None
            of_paper = set_name == "Set5" and net.scale == 3
            printed = TABLE_2.get(image, {}).get(method(title)) if of_paper else None
            table.add_data(set_name, image, psnr, ssim, printed and printed[0], picture)
    logger.experiment.log({"benchmark": table})
