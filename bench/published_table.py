"""Time and memory to read, join and split the published table: `python -m bench.published_table FOLDER [PREFIX]`.

FOLDER contains ChestX-ray14's tables and split lists, whose names may begin with PREFIX; no image is read.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

from training.data.chestxray14 import records, split_cases

MIB = 2**20 if sys.platform == "darwin" else 2**10  # getrusage counts bytes there, else KiB


def peak() -> float:
    """Peak memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB


def main() -> None:
    folder, prefix = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        for file in folder.resolve().glob("*.[ct][sx][vt]*"):  # .csv and .txt, .gz too
            (data / file.name.removeprefix(prefix)).symlink_to(file)
        print("| what | rows | patients | seconds | peak memory, MiB |\n|---|---|---|---|---|")
        print(f"| imports alone | | | | {peak():.0f} |")
        for what in ("whole table", "train", "val", "test"):
            start = time.perf_counter()
            cases = records(data) if what == "whole table" else split_cases(data, what)
            seconds, patients = time.perf_counter() - start, {case.patient for case in cases}
            print(f"| {what} | {len(cases):,} | {len(patients):,} | {seconds:.2f} | {peak():.0f} |")


if __name__ == "__main__":
    main()
