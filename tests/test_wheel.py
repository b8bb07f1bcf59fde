"""What is installed outside a clone: FDNN's weights travel in the wheel."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "model.safetensors")
    shutil.copytree(ROOT / "src", tree / "src", ignore=ignore)
    for scale in (2, 3, 4):
        name = f"checkpoints/fdnn_x{scale}"
        shutil.copytree(ROOT / name, tree / name)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    done = subprocess.run(
        [*command, "-w", str(folder), str(tree)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("fdnn-*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def _python(installed: Path, code: str) -> str:
    command = [sys.executable, "-c", code]
    env = {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    run = subprocess.run(command, cwd="/", env=env, capture_output=True, text=True, check=True)
    return run.stdout.strip()


def test_networks_come_without_a_name(installed) -> None:
    code = (
        "import fdnn, numpy; print(fdnn.__file__);"
        "image = numpy.zeros((4, 5, 3), numpy.uint8);"
        "print(*[fdnn.upscale(image, scale=s).shape for s in (2, 3, 4)], fdnn.load().scale)"
    )
    where, result = _python(installed, code).splitlines()
    assert where.startswith(str(installed))
    assert result == "(8, 10, 3) (12, 15, 3) (16, 20, 3) 3"


def test_other_networks_are_told_of_in_a_line(installed) -> None:
    code = (
        "import fdnn\n"
        "try: fdnn.load('vdsr_x3')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    text = _python(installed, code)
    assert text.startswith("UserError no weights 'vdsr_x3'; name shipped ones (fdnn_x2, fdnn_x3")
