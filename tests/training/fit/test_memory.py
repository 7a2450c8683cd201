"""Page faults are counted, not time: a block that the C library gave back is filled with zeros again, page by page."""

import platform
import subprocess
import sys

import pytest

BLOCKS = """
import resource, sys
from training.fit.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
import numpy as np
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(2**26, np.uint8)
before = faults()
for _ in range(10):
    np.ones(2**26, np.uint8)
print(faults() - before)
"""


def page_faults(mode: str) -> int:
    """Page faults of ten allocations of 64 MiB, each freed before the next."""
    command = [sys.executable, "-c", BLOCKS, mode]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
def test_freed_blocks_are_used_again() -> None:
    assert page_faults("keep") < page_faults("plain") / 10
