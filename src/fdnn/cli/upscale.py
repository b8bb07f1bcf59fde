"""``fdnn upscale``: image files in, enlarged image files out, without a Trainer."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fdnn.files.errors import UserError, one_line
from fdnn.files.home import expanded
from fdnn.images.io import MAX_PIXELS
from fdnn.predict.plan import Job, plan, to_do

#: The scale where neither ``--scale`` nor ``--weights`` says one.
SCALE = 3


def plan_beside(
    inputs: Sequence[str], output: str | None, kind: str | None, suffix: str
) -> list[Job]:
    """Decide which file each input becomes.

    Args:
        inputs: Files, folders or patterns.
        output: Folder for the results. ``None``: each result stands beside its input.
        kind: Extension of the results; ``None``: that of each input.
        suffix: Goes between name and extension.

    Raises:
        UserError: If an input cannot be used, see :func:`fdnn.predict.plan.plan`.
    """
    if output is not None:
        return plan(inputs, output, kind, suffix)
    jobs: dict[Path, Job] = {}
    for name in inputs:
        path = expanded(name)
        folder = path if path.is_dir() else path.parent
        for job in plan([name], str(folder), kind, suffix):
            if job.target in jobs and jobs[job.target].source != job.source:
                raise UserError(
                    f"{jobs[job.target].source} and {job.source} would both become {job.target}"
                )
            jobs[job.target] = job
    return list(jobs.values())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fdnn upscale",
        description="Enlarge images, animations and videos. A result stands beside its input, as "
        "photo_x3.jpg, unless --output names a folder. Existing files are kept.",
    )
    parser.add_argument("inputs", nargs="+", metavar="FILE", help="files, folders or patterns")
    parser.add_argument("--scale", type=int, metavar="N", help="2, 3 or 4 (default: 3)")
    parser.add_argument("--output", metavar="FOLDER", help="where results go")
    parser.add_argument(
        "--weights", metavar="NAME", help="other weights: a name, a path or a Hugging Face id"
    )
    parser.add_argument("--format", metavar="EXT", help="png, jpg, ...; default: as each input")
    parser.add_argument("--suffix", metavar="TEXT", help="added to names (default: _x and scale)")
    parser.add_argument("--overwrite", action="store_true", help="replace existing results")
    parser.add_argument(
        "--ensemble", action="store_true", help="mean of eight orientations: 8 times the time"
    )
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or mps")
    parser.add_argument(
        "--engine", default="eager", choices=["eager", "compile", "openvino"], help="what computes"
    )
    parser.add_argument(
        "--max-pixels",
        "--max_pixels",
        type=int,
        default=MAX_PIXELS,
        metavar="N",
        help="of an input",
    )
    return parser


@one_line
def main(args: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 1 if an input failed."""
    options = _parser().parse_args(args)
    if options.max_pixels < 1:
        raise UserError(f"--max-pixels must be at least 1, got {options.max_pixels}")
    if options.weights is None and options.scale not in {None, 2, 3, 4}:
        raise UserError(f"--scale must be 2, 3 or 4, got {options.scale}; --weights takes others")
    weights = options.weights or f"fdnn_x{options.scale or SCALE}"
    # Inputs are checked before PyTorch is loaded.
    if options.weights is None:
        plan_beside(options.inputs, options.output, options.format, options.suffix or "_x")

    from fdnn.inference.device import pick_device
    from fdnn.inference.engines import with_engine
    from fdnn.inference.pretrained import load
    from fdnn.models.ensemble import SelfEnsemble
    from fdnn.predict.work import Work

    device = pick_device(options.device)
    net = load(weights, options.scale).to(device)
    suffix = f"_x{net.scale}" if options.suffix is None else options.suffix
    jobs = plan_beside(options.inputs, options.output, options.format, suffix)
    todo = to_do(jobs, net.scale, options.overwrite)
    if kept := len(jobs) - len(todo):
        print(f"kept {kept} existing results; --overwrite replaces them")
    net = with_engine(SelfEnsemble(net) if options.ensemble else net, options.engine)
    work = Work(options.max_pixels)
    for job in todo:
        before, start = work.done, time.monotonic()
        work.do(net, job.source, job.target)
        if work.done > before:
            print(f"{job.target}  {time.monotonic() - start:.1f} s", flush=True)
    for failure in work.failures:
        print(f"error: {failure}", file=sys.stderr)
    return 1 if work.failures else 0


if __name__ == "__main__":
    sys.exit(main())
