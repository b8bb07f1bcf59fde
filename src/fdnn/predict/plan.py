"""Which file becomes which: files, folders and patterns in, names below a folder out."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fdnn.files.errors import UserError
from fdnn.files.home import expanded, real
from fdnn.images.io import EXTENSIONS, open_image
from fdnn.predict.video import VIDEOS


class Job(NamedTuple):
    """A file to magnify.

    Attributes:
        source: Image, animation or video.
        target: Result.
    """

    source: Path
    target: Path


def plan(
    inputs: Sequence[str], output: str, file_format: str | None = None, suffix: str = ""
) -> list[Job]:
    """Decide which file each input becomes.

    Results that are there already change nothing, so that several processes make the same plan
    as an earlier run did: what lies in the output folder, or, where that is a folder of inputs,
    has the name that another file there gets by ``suffix`` or ``file_format``, is no input.

    Args:
        inputs: Files, folders (with all folders below), or patterns such as ``photos/*.png``
            (``**`` for any folders). What is found in a folder, or below the fixed part of a
            pattern, keeps its place below ``output``. Hidden files are left out.
        output: Folder for the results.
        file_format: Extension of the results, such as ``png`` (of videos if it is one of
            theirs, such as ``mp4``); default: that of each input.
        suffix: Goes between name and extension of the results.

    Returns:
        Jobs in the order of the inputs, sorted by name inside folders.

    Raises:
        UserError: If there is no input or output, two inputs would get the same name, a result
            would overwrite an input, or the format is unknown.
    """
    if not inputs:
        raise UserError("nothing to do; name images or folders with --input")
    extension = f".{file_format.lower().lstrip('.')}" if file_format else None
    if extension is not None and extension not in EXTENSIONS | VIDEOS:
        raise UserError(
            f"unknown --format {file_format!r}; use one of {' '.join(sorted(EXTENSIONS | VIDEOS))}"
        )
    if "/" in suffix or "\\" in suffix:
        raise UserError(f"--suffix {suffix!r} is a part of a file name; folders go to --output")
    if not output:
        raise UserError("--output is empty; name a folder ('.' is this one)")
    folder = expanded(output)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output {folder} is a file; name a folder")
    found: list[Job] = []
    for name in inputs:
        if not name:
            raise UserError("an --input is empty; name images or folders ('.' is this one)")
        for source, place in _find(name, folder):
            target = folder / place.with_name(
                place.stem + suffix + _extension(source.suffix, extension)
            )
            found.append(Job(source, target))
    if suffix or extension:
        results = {real(j.target) for j in found if real(j.target) != real(j.source)}
        results -= {real(expanded(name)) for name in inputs}
        found = [job for job in found if real(job.source) not in results]
    jobs: dict[Path, Job] = {}
    for source, target in found:
        if target in jobs and real(jobs[target].source) != real(source):
            raise UserError(f"{jobs[target].source} and {source} would both become {target}")
        jobs[target] = Job(source, target)
    sources = {real(job.source) for job in jobs.values()}
    for job in jobs.values():
        if real(job.target) in sources:
            raise UserError(f"{job.target} would be overwritten; choose another --output folder")
    return list(jobs.values())


def to_do(jobs: Sequence[Job], scale: int, overwrite: bool) -> list[Job]:
    """Leave out the jobs whose result exists.

    Args:
        jobs: All that could be done.
        scale: That of the network.
        overwrite: Whether to replace results.

    Raises:
        UserError: If an existing image has not the size that the network would give.
    """
    if overwrite:
        return list(jobs)
    todo = []
    for job in jobs:
        if not job.target.exists():
            todo.append(job)
        elif _other_size(job, scale):
            raise UserError(
                f"{job.target} exists and is not x{scale} of {job.source}; name another --output, "
                "or replace it with --overwrite"
            )
    return todo


def _other_size(job: Job, scale: int) -> bool:
    if job.source.suffix.lower() in VIDEOS:
        return False
    try:
        with open_image(job.source) as source, open_image(job.target) as target:
            # Sorted: EXIF may turn the source.
            return sorted(scale * side for side in source.size) != sorted(target.size)
    except UserError:
        return False  # an unreadable source is reported later, an unreadable result is kept


def _extension(of_source: str, wanted: str | None) -> str:
    is_video = of_source.lower() in VIDEOS
    return of_source if wanted is None or is_video != (wanted in VIDEOS) else wanted


def _find(name: str, output: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the files that an input names, each with its place below the output folder."""
    path = expanded(name)
    if path.is_dir():
        found = list(_below(path, _walk(path), output))
        if not found:
            kinds = " ".join(sorted(EXTENSIONS | VIDEOS))
            raise UserError(f"no image or video ({kinds}) in folder: {path}")
        yield from found
    elif path.is_file():
        yield path, Path(path.name)
    elif path.exists():  # a pipe, say, which would be waited for
        raise UserError(f"neither a file nor a folder: {path}")
    elif glob.has_magic(name):
        fixed = Path(*_before_pattern(path.parts))
        matches = (Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207
        found = list(_below(fixed, matches, output))
        if not found:
            raise UserError(f"no image or video matches {name!r}")
        yield from found
    else:
        raise UserError(f"no such file or folder: {path}")


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder; links to folders are followed, but not around a circle."""
    for parent, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        here = Path(parent)
        above = {real(ancestor) for ancestor in (here, *here.parents)}
        folders[:] = [f for f in folders if real(here / f) not in above]
        yield from (here / name for name in files)


def _refuse(error: OSError) -> None:
    raise UserError(f"folder {error.filename} cannot be read ({error.strerror}); leave it out")


def _before_pattern(parts: Sequence[str]) -> Iterator[str]:
    for part in parts:
        if glob.has_magic(part):
            return
        yield part


def _below(root: Path, paths: Iterator[Path], output: Path) -> Iterator[tuple[Path, Path]]:
    # Results of an earlier run are no inputs.
    out = real(output)
    inside = out != real(root) and out.is_relative_to(real(root))
    for path in sorted(paths):
        place = path.relative_to(root)
        if any(part.startswith(".") for part in place.parts):
            continue
        if inside and real(path).is_relative_to(out):
            continue
        dangling = path.is_symlink() and not path.exists()  # is reported when it is read
        if path.suffix.lower() in EXTENSIONS | VIDEOS and (path.is_file() or dangling):
            yield path, place
