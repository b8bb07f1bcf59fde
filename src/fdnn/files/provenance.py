"""Where weights and scores come from: commit, machine, versions, and the files that say so."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

import torch

#: In the folder of a ``fit``: where its weights come from, and all that it logged; and in that of
#: ``python -m tools.benchmark.zoo``: times.
RECORD_NAME = "run.json"
CONFIG_NAME = "config.yaml"
METRICS_NAME = "metrics.csv"
SPEED_NAME = "speed.json"


def git_commit() -> str:
    """Return the commit of the source tree, with ``+`` if files were changed since."""
    here = Path(__file__)

    def git(*args: str) -> str:
        command = ["git", "-C", str(here.parent), *args]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)  # not installed into someone else's tree
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown (not a git checkout)"


def hardware() -> str:
    """Name the machine's processor and graphics cards."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].split(":", 1)[1].strip() if names else cpu
    cards = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ", ".join([f"{cpu} ({torch.get_num_threads()} threads)", *cards])


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that scores may depend on."""
    packages = ("fdnn", "torch", "torchmetrics", "lightning", "numpy", "pillow")
    return {"python": platform.python_version(), **{p: _version(p) for p in packages}}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # a source tree that is not installed
        return "unknown"
