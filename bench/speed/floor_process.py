"""One process that does what a file requires and nothing else: `radiograph`, `canvas` and the network, one thread.

It takes jobs as JSON lines from its standard input and answers each with a JSON line. `bench.speed.floor` runs several
at once, also with an older `service` on PYTHONPATH, so it imports nothing else of this project.
"""

import cProfile
import json
import os
import pstats
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from service.artefact.file import load
from service.dicom.canvas import canvas
from service.dicom.radiograph import Header, radiograph
from service.inference.session import Session

_HASHES = ("HASH", "sha256", "blake", "xxh")


class Floor:
    """The three functions with the artefact at a path."""

    def __init__(self, artefact: str) -> None:
        loaded = load(Path(artefact))
        self._preprocessing = loaded.card.preprocessing
        self._session = Session(loaded, "cpu", 1)

    def predict(self, data: bytes) -> dict[str, float]:
        """Predict one file, and return the milliseconds of each part."""
        image = radiograph(data)
        start = time.perf_counter()
        square = self._square(image.values, image.header)
        middle = time.perf_counter()
        self._session.run(square[None])
        end = time.perf_counter()
        return {**image.header.timings_ms, "canvas": 1000 * (middle - start), "network": 1000 * (end - middle)}

    def _square(self, values: np.ndarray, header: Header) -> np.ndarray:
        return canvas(values, self._preprocessing.canvas_size, self._preprocessing.resize, header.aspect)


def repeat(floor: Floor, file: Path, seconds: float, folder: Path | None) -> dict[str, Any]:
    """Read and predict a file, and write and sync the same bytes if there is a folder, for so many seconds."""
    parts: list[dict[str, float]] = []
    begin, cpu = time.perf_counter(), time.process_time()
    while not parts or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        data = file.read_bytes()
        read = time.perf_counter()
        result = floor.predict(data)
        stored = time.perf_counter()
        if folder is not None:
            store(folder / f"{os.getpid()}-{len(parts)}.dcm", data)
        end = time.perf_counter()
        parts.append({"file": 1000 * (read - start), **result, "write and sync": 1000 * (end - stored)})
    spent = time.perf_counter() - begin
    medians = {name: float(np.median([part[name] for part in parts])) for name in parts[0]}
    cpu_each = (time.process_time() - cpu) / len(parts)
    return {"files": len(parts), "seconds": spent, "cpu_each": cpu_each, "parts_ms": medians}


def store(path: Path, data: bytes) -> None:
    """Write a file, and wait until it and its name are on disk."""
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def hash_share(floor: Floor, file: Path, repeats: int) -> float:
    """Return the share of the time of `radiograph`, `canvas` and the network that hash functions take."""
    data = file.read_bytes()
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(repeats):
        floor.predict(data)
    profiler.disable()
    rows = pstats.Stats(profiler).stats.items()  # type: ignore[attr-defined]
    own = [(name, row[2]) for (_, _, name), row in rows]
    hashes = sum(seconds for name, seconds in own if any(word in name for word in _HASHES))
    return float(hashes / sum(seconds for _, seconds in own))


def main() -> None:
    floor = Floor(sys.argv[1])
    jobs: dict[str, Callable[[dict[str, Any]], Any]] = {
        "repeat": lambda job: repeat(
            floor, Path(job["file"]), job["seconds"], Path(job["folder"]) if job["folder"] else None
        ),
        "hash_share": lambda job: hash_share(floor, Path(job["file"]), job["repeats"]),
    }
    print("ready", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        print(json.dumps(jobs[job["do"]](job)), flush=True)


if __name__ == "__main__":
    main()
