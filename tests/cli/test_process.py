import os
import platform
import subprocess
import sys

import pytest

from fdnn.cli.process import SWITCH

#: Prints by how many bytes the process is larger after a block of 160 MB was filled and freed.
PROBE = """
from pathlib import Path
import torch
from fdnn.cli.process import keep_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

done = keep_memory()
torch.ones(1)
before = resident()
block = torch.ones(40_000_000)
del block
print(done, resident() - before)
"""


def grown(setting: str | None) -> tuple[str, int]:
    environment = {name: value for name, value in os.environ.items() if name != SWITCH}
    if setting is not None:
        environment[SWITCH] = setting
    ran = subprocess.run(
        [sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, check=True
    )
    done, bytes_ = ran.stdout.split()
    return done, int(bytes_)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only where glibc allocates")
def test_a_freed_block_is_kept_unless_switched_off() -> None:
    done, kept = grown(None)
    assert done == "True"
    assert kept > 150e6
    assert grown("1")[1] > 150e6  # as the processes that the command line starts inherit it
    done, kept = grown("0")
    assert done == "False"
    assert kept < 10e6


#: Prints how threads wait when PyTorch's import begins.
IMPORTING = """
import os, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"))
            raise SystemExit

sys.meta_path.insert(0, Finder())
from fdnn.cli.main import main
main(["evaluate", "--help"])
"""


@pytest.mark.parametrize(("given", "used"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_sleep_while_they_wait(given, used) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if given:
        environment["OMP_WAIT_POLICY"] = given
    done = subprocess.run(
        [sys.executable, "-c", IMPORTING], env=environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.split() == [used]
