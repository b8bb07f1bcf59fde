"""Copies FDNN's weights from checkpoints/ into the wheel; all else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithWeights(build_py):
    """Adds ``fdnn/weights/fdnn_x2``, ``_x3`` and ``_x4``, of which the repository has one copy."""

    def run(self) -> None:
        """Copy the weights behind the modules, except for an editable installation."""
        super().run()
        if self.editable_mode:
            return
        for scale in (2, 3, 4):
            name = f"fdnn_x{scale}"
            folder = Path(self.build_lib, "fdnn", "weights", name)
            folder.mkdir(parents=True, exist_ok=True)
            for file in ("model.safetensors", "README.md"):
                shutil.copy(Path("checkpoints", name, file), folder)


setup(cmdclass={"build_py": BuildWithWeights})
