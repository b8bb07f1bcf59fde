"""Named image sets and folders of one's own.

A set is named by one of the names below or by the path of a folder. The published sets lie
under a root folder (``$FDNN_DATA``, default ``data``), where ``data_prep/fetch.py`` puts
them; the sample photographs come with the scikit-image package and need no download.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fdnn.files.errors import UserError
from fdnn.files.digest import sha256
from fdnn.files.home import expanded
from fdnn.images.io import list_images

#: Set name -> folder under the root. "B100" is what the tables call BSD100.
PUBLISHED = {
    "T91": "T91",
    "BSDS200": "BSDS200",
    "Set5": "Set5",
    "Set14": "Set14",
    "B100": "BSD100",
    "Urban100": "Urban100",
}

#: How many images the published sets have.
COUNTS = {"T91": 91, "BSDS200": 200, "Set5": 5, "Set14": 14, "B100": 100, "Urban100": 100}

#: Photographs inside scikit-image's wheel: real images for a first run without a download.
SAMPLE_PHOTOS = {
    "sample-train": (
        "astronaut.png",
        "brick.png",
        "coins.png",
        "grass.png",
        "gravel.png",
        "hubble_deep_field.jpg",
        "ihc.png",
        "moon.png",
        "motorcycle_left.png",
        "retina.jpg",
        "rocket.jpg",
    ),
    "sample-test": ("camera.png", "chelsea.png", "coffee.png"),
}

#: What the tables call the images of Set5, by the stem of the file.
TITLES = {
    "img_001_SRF_2_HR": "baby",
    "img_002_SRF_2_HR": "bird",
    "img_003_SRF_2_HR": "butterfly",
    "img_004_SRF_2_HR": "head",
    "img_005_SRF_2_HR": "woman",
}


@dataclass(frozen=True)
class ImageSet:
    """An ordered collection of image files.

    Attributes:
        name: What tables and logs call it.
        paths: The files, sorted by name.
    """

    name: str
    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def titles(self) -> list[str]:
        """Name each image for tables: the file's stem, or the paper's name in Set5.

        Files with the same stem (``a.png``, ``a.jpg``) keep their extensions.
        """
        times = Counter(path.stem for path in self.paths)
        stems = [path.stem if times[path.stem] == 1 else path.name for path in self.paths]
        return [TITLES.get(stem, stem) for stem in stems] if self.name == "Set5" else stems

    def sha256(self) -> str:
        """Hash the names and bytes of all files, in order; of one that cannot be read, the name."""
        digest = hashlib.sha256()
        for path in self.paths:
            digest.update(os.fsencode(path.name) + b"\0")
            with suppress(OSError):  # who reads it says so, or leaves it out
                digest.update(bytes.fromhex(sha256(path)))
        return digest.hexdigest()


def data_root() -> Path:
    """Return the folder of the published sets: ``$FDNN_DATA``, or ``data``."""
    return Path(os.environ.get("FDNN_DATA") or "data")


def find_set(name: str, root: Path | None = None) -> ImageSet:
    """Find a set by its name, or take any folder of images as one.

    Args:
        name: A key of ``PUBLISHED`` or ``SAMPLE_PHOTOS``, or the path of a folder.
        root: Where the published sets lie; default :func:`data_root`.

    Raises:
        UserError: If the folder does not exist or is empty; for a published set the text
            names the command that fetches it.
    """
    if name in SAMPLE_PHOTOS:
        return ImageSet(name, _sample_photos(name))
    if name in PUBLISHED:
        root = root or data_root()
        folder = root / PUBLISHED[name]
        remedy = (
            f"get it with 'python data_prep/fetch.py {name}', or point FDNN_DATA to where it lies"
        )
        if not folder.is_dir():
            raise UserError(f"image set {name} is not at {folder}; {remedy}")
        try:
            return ImageSet(name, tuple(list_images(folder)))
        except UserError as error:
            raise UserError(f"{error}; {remedy}") from None
    folder = expanded(name)
    if not folder.is_dir():
        known = ", ".join([*PUBLISHED, *SAMPLE_PHOTOS])
        raise UserError(f"image set {name!r} is neither a folder nor one of: {known}")
    return ImageSet(folder.resolve().name, tuple(list_images(folder)))


def _sample_photos(name: str) -> tuple[Path, ...]:
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    paths = tuple(folder / file for file in SAMPLE_PHOTOS[name])
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise UserError(f"scikit-image has no {missing[0]}; install the version in constraints.txt")
    return paths
