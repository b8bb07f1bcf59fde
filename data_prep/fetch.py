"""Fetch the training and benchmark images that the paper uses, and check every byte.

    python data_prep/fetch.py                 # all sets, 237 MB, into $FDNN_DATA or data/
    python data_prep/fetch.py Set5 Set14      # only these
    python data_prep/fetch.py --mirror /mnt/copy

Files that are present and intact are left alone, so that an interrupted run goes on where it
stopped; a damaged file is named and fetched again. Each file appears whole or not at all.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import IO, Any

import pooch
import requests
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fdnn.data.sets import PUBLISHED, data_root
from fdnn.files.errors import UserError, one_line

MANIFEST = Path(__file__).with_name("manifest.json")

#: Names that mean the same on every file system, and no other folder.
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}")
SHA256 = re.compile(r"[0-9a-f]{64}")


def read_manifest(path: Path = MANIFEST) -> dict[str, Any]:
    """Read the manifest: folder -> ``url`` and ``files`` {name: [bytes, SHA-256]}.

    Raises:
        UserError: If it is damaged, or names a file outside its set's folder.
    """
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for folder, entry in manifest.items():
            for name, (size, digest) in entry["files"].items():
                if not (PLAIN_NAME.fullmatch(folder) and PLAIN_NAME.fullmatch(name)):
                    raise ValueError(f"{folder!r}/{name!r} is not a plain file name")
                if type(size) is not int or size < 1 or not SHA256.fullmatch(digest):
                    raise ValueError(f"{folder}/{name} has no size or SHA-256")
            if not isinstance(entry["url"], str):
                raise TypeError(f"{folder} has no url")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: damaged manifest ({error})") from None
    return manifest


def is_intact(file: Path, size: int, digest: str) -> bool:
    """Compare a file's size and SHA-256 with the manifest's."""
    return file.stat().st_size == size and pooch.file_hash(str(file)) == digest


class Bounded:
    """A file that takes no more than so many bytes: what is sent may not fill the disk.

    Args:
        file: Where they go.
        size: How many are expected.
        url: Where they come from.
    """

    def __init__(self, file: IO[bytes], size: int, url: str) -> None:
        self.file, self.left, self.url = file, size, url

    def write(self, part: bytes) -> int:
        """Write, or stop.

        Raises:
            UserError: If more comes than was expected.
        """
        self.left -= len(part)
        if self.left < 0:
            raise UserError(
                f"{self.url}: more bytes come than the manifest says; try another --mirror"
            )
        return self.file.write(part)

    def flush(self) -> None:
        """Write through."""
        self.file.flush()


class Source:
    """Where the files of one set come from: a web address, or a folder.

    Args:
        folder: Name of the set's folder.
        entry: Its entry in the manifest.
        mirror: A folder or address that holds ``folder/file``; default: the manifest's.
        timeout: Seconds without a byte after which a download is given up.
    """

    def __init__(
        self, folder: str, entry: dict[str, Any], mirror: str | None, timeout: float
    ) -> None:
        self.folder = folder
        self.files: dict[str, tuple[int, str]] = entry["files"]
        self.base = entry["url"] if mirror is None else f"{mirror.rstrip('/')}/{folder}/"
        self.local = "://" not in self.base
        self.http = pooch.HTTPDownloader(timeout=timeout)

    def _download(self, url: str, output: str, _: Any) -> None:
        size = self.files[url.rsplit("/", 1)[1]][0]
        with Path(output).open("wb") as file:
            bounded = Bounded(file, size, url)
            if self.local:
                bounded.write(self._read(url))
            else:
                self.http(url, bounded, None)

    def _read(self, url: str) -> bytes:
        try:
            return Path(url).read_bytes()
        except OSError as error:
            raise self._missing(url, error) from None

    def _missing(self, url: str, error: OSError) -> UserError:
        reason = error if isinstance(error, requests.HTTPError) else type(error).__name__
        return UserError(
            f"cannot fetch {url} ({reason}); check the network, or give a copy of the sets with "
            "--mirror FOLDER_OR_URL"
        )

    def fetch(self, root: Path, name: str) -> None:
        """Download one file into ``root``, replacing what is there.

        Raises:
            UserError: If it cannot be had, or what came differs from the manifest.
            OSError: If it cannot be written.
        """
        digest = self.files[name][1]
        target = root / self.folder
        puller = pooch.create(
            path=target,
            base_url=self.base,
            registry={name: f"sha256:{digest}"},
            retry_if_failed=0 if self.local else 2,
        )
        try:
            puller.fetch(name, downloader=self._download)
        except requests.RequestException as error:
            raise self._missing(f"{self.base}{name}", error) from None
        except ValueError:
            raise UserError(
                f"{self.base}{name}: what came is not the file in the manifest "
                "(SHA-256 differs); try again, or another --mirror"
            ) from None


def fetch(
    folders: Sequence[str],
    root: Path,
    mirror: str | None = None,
    jobs: int = 8,
    timeout: float = 30,
    manifest: dict[str, Any] | None = None,
) -> int:
    """Bring sets to ``root``; stop at the first file that cannot be had.

    Args:
        folders: Names of sets in the manifest.
        root: Folder that gets a folder for each.
        mirror: Folder or URL that holds SET/FILE; the manifest's sources if None.
        jobs: Files fetched at a time.
        timeout: Seconds without a byte after which a file cannot be had.
        manifest: What :func:`read_manifest` returns, and calls if None.

    Returns:
        How many files were fetched.

    Raises:
        UserError: See :meth:`Source.fetch`.
    """
    pooch.get_logger().setLevel("ERROR")
    manifest = manifest or read_manifest()
    missing: list[tuple[Source, str]] = []
    for folder in folders:
        source = Source(folder, manifest[folder], mirror, timeout)
        for name, (size, digest) in source.files.items():
            file = root / folder / name
            if not file.exists():
                missing.append((source, name))
            elif not is_intact(file, size, digest):
                print(f"damaged, fetching again: {file}")
                missing.append((source, name))

    columns = (TextColumn("fetching"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not missing) as progress, ThreadPoolExecutor(jobs) as pool:
        task = progress.add_task("", total=len(missing))
        waiting = [pool.submit(source.fetch, root, name) for source, name in missing]
        try:
            for done in as_completed(waiting):
                done.result()
                progress.advance(task)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return len(missing)


@one_line
def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    names = sorted({*PUBLISHED, *PUBLISHED.values()})
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"any of {' '.join(names)}")
    parser.add_argument("--root", type=Path, help="target folder; default $FDNN_DATA or data")
    parser.add_argument("--mirror", help="folder or URL that holds SET/FILE; default: the sources")
    parser.add_argument("--jobs", type=int, default=8, help="files at a time (8)")
    parser.add_argument("--timeout", type=float, default=30, help="seconds without a byte (30)")
    options = parser.parse_args(args)
    if options.jobs < 1 or options.timeout <= 0:
        parser.error(
            f"--jobs must be at least 1 and --timeout above 0, got {options.jobs} "
            f"and {options.timeout}"
        )
    unknown = [name for name in options.sets if name not in names]
    if unknown:
        parser.error(f"unknown set {unknown[0]!r}; choose from {' '.join(names)}")
    folders = [PUBLISHED.get(name, name) for name in options.sets] or list(PUBLISHED.values())
    root = options.root or data_root()
    count = fetch(list(dict.fromkeys(folders)), root, options.mirror, options.jobs, options.timeout)
    print(f"{', '.join(folders)}: complete and intact in {root} ({count} files fetched)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
