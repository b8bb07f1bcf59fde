"""Large collections of images: WebDataset tar files in a folder or an object store.

``data_prep/shard.py`` writes them from folders. The files in them are the original ones, so that
training on shards draws the very batches that training on the folders draws. Beside them lies an
index that says how many there are, and the SHA-256 of each.

Shards are read one after the other, each as a whole, when training starts; what is cut from
them afterwards is kept by :class:`fdnn.data.pairs.PairStore`, since every batch is drawn from all
images. Object stores are reached through obstore, which takes its settings from the environment.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdnn.files.errors import ImageError, UserError, words
from fdnn.files.atomic import replacing
from fdnn.files.digest import sha256
from fdnn.files.home import expanded
from fdnn.images.pillow import Array
from fdnn.images.io import count_pixels, read_image
from fdnn.data.sets import ImageSet, find_set

INDEX = "shards.json"
_INSTALL = "pip install -e '.[shards]'"


@dataclass(frozen=True)
class Member:
    """An image file inside a shard.

    Attributes:
        name: Shard and file, for messages.
        content: The file.
    """

    name: str
    content: bytes

    def read(self) -> Array:
        """Read the pixels as :func:`fdnn.images.io.read_image` does.

        Raises:
            ImageError: As there.
        """
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, Path(self.name).name)
            file.write_bytes(self.content)
            try:
                return read_image(file)
            except ImageError as error:
                raise ImageError(str(error).replace(str(file), self.name)) from None


class Shards:
    """The images of a folder or URL that ``data_prep/shard.py`` wrote.

    Args:
        place: A folder, or a URL that obstore knows: ``s3://bucket/name``, ``gs://``, ...

    Raises:
        UserError: If the index cannot be read.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        content = self._read(INDEX)
        try:
            index: dict[str, Any] = json.loads(content)
            self.files: list[tuple[str, str]] = [(f["name"], f["sha256"]) for f in index["shards"]]
            self.images = int(index["images"])
            self.pixels = int(index["pixels"])
            self._sha256 = str(index["sha256"])
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{place}/{INDEX}: damaged; write the shards anew") from None

    def __len__(self) -> int:
        return self.images

    def sha256(self) -> str:
        """Return the hash that the images had as a folder, see ``ImageSet.sha256``."""
        return self._sha256

    def members(self) -> Iterator[Member]:
        """Read all images in order.

        Raises:
            UserError: If a shard is missing or damaged, or WebDataset is not installed.
        """
        try:
            from webdataset.tariterators import tar_file_iterator
        except ImportError:
            raise UserError(f"reading {self.place} needs webdataset; {_INSTALL}") from None
        for name, digest in self.files:
            content = self._read(name)
            if hashlib.sha256(content).hexdigest() != digest:
                size = f"{len(content)} bytes"
                raise UserError(f"{self.place}/{name}: damaged ({size}); copy it anew")
            for file in tar_file_iterator(io.BytesIO(content)):
                yield Member(f"{self.place}/{name}/{file['fname']}", file["data"])

    def _read(self, name: str) -> bytes:
        if "://" not in self.place:
            try:
                return expanded(Path(self.place, name)).read_bytes()
            except OSError as error:
                raise UserError(f"{self.place}/{name} cannot be read: {error.strerror}") from None
        try:
            import obstore
            from obstore.exceptions import BaseError
        except ImportError:
            raise UserError(f"reading {self.place} needs obstore; {_INSTALL}") from None
        try:
            return bytes(obstore.get(obstore.store.from_url(self.place), name).bytes())
        except (BaseError, OSError, ValueError) as error:
            raise UserError(f"{self.place}/{name} cannot be read: {words(error)}") from None


def find_images(name: str) -> ImageSet | Shards:
    """Find a set to train on: what :func:`fdnn.data.sets.find_set` knows, or shards.

    Args:
        name: Name of a set, folder of images, folder of shards, or URL of shards.

    Raises:
        UserError: If there is none.
    """
    if "://" in name or expanded(Path(name, INDEX)).is_file():
        return Shards(name)
    return find_set(name)


def write_shards(names: Sequence[str], folder: Path, megabytes: int) -> Shards:
    """Write the images of sets and folders, unchanged and in order, into shards.

    Args:
        names: Sets or folders.
        folder: Where; made if it is not there.
        megabytes: Size at which a new shard is begun.

    Raises:
        UserError: If there is an index or a .tar already, or WebDataset is not installed.
    """
    try:
        from webdataset import ShardWriter
    except ImportError:
        raise UserError(f"writing shards needs webdataset; {_INSTALL}") from None
    index = folder / INDEX
    if present := [path for path in (index, *sorted(folder.glob("*.tar"))) if path.exists()]:
        raise UserError(f"{present[0]} exists; choose another folder, or delete this one")
    paths = [path for name in names for path in find_set(name).paths]
    folder.mkdir(parents=True, exist_ok=True)
    pattern = str(folder).replace("%", "%%") + "/%06d.tar"
    pixels = 0
    shards: list[str] = []
    size = megabytes * 10**6
    # Without times, the same images make the same shards.
    options = {"verbose": 0, "encoder": False, "mtime": 0.0}
    try:
        with ShardWriter(pattern, maxsize=size, post=shards.append, **options) as writer:
            for number, path in enumerate(paths):
                # A key ends at its first dot.
                key = f"{number:08d}_{path.stem.replace('.', '_')}"
                writer.write({"__key__": key, path.suffix[1:].lower(): path.read_bytes()})
                pixels += count_pixels(path)
    except BaseException:
        for file in folder.glob("*.tar"):  # there were none before
            file.unlink()
        raise
    files = [{"name": Path(file).name, "sha256": sha256(Path(file))} for file in shards]
    facts = {"images": len(paths), "pixels": pixels, "sha256": ImageSet("", tuple(paths)).sha256()}
    with replacing(index) as partial:  # the last file to appear: half a collection is none
        partial.write_text(json.dumps({**facts, "shards": files}, indent=1) + "\n")
    return Shards(str(folder))
