import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from service.prediction.freed_memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()

def image() -> None:
    [np.ones(7_500_000, kind) for kind in (np.uint16, np.uint16, np.float32)]

for _ in range(2):
    image()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    image()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not glibc")
def test_the_next_image_uses_the_memory_of_the_last_one() -> None:
    def faults(memory: str) -> int:
        command = [sys.executable, "-c", FAULTS, memory]
        return int(subprocess.run(command, capture_output=True, check=True, timeout=120).stdout)

    assert faults("kept") < 100 < faults("given back")
