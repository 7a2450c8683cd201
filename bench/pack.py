"""Rate of `agcnn pack`, and that it goes on after it was killed: `python -m bench.pack [--images N] ...`.

The floor is one bare process that decodes each PNG file and resizes it to the canvas, and writes nothing. Files are a
few phantoms under many names, so that they are read from memory. The command is run as its user runs it, on one
processor, on two, and twice at once on one cache with a processor each; its start is left out, as the time of a run of
one image. Then it is killed when half of the images are in the cache, and started again.
"""

import argparse
import hashlib
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from bench.folder import DISTINCT
from bench.scores import table
from training.data.canvas_file import ENTRY, CanvasFile, open_file
from training.data.pixel_path import read_canvas
from training.data.processors import processors
from training.phantom.film import phantom

AGCNN = Path(sys.executable).with_name("agcnn")


def write_set(folder: Path, count: int, side: int) -> Path:
    """Write a set of phantoms of 8 bits, as published sets have them, most of which are links; return its folder."""
    images = folder / "images"
    images.mkdir(parents=True)
    for number in range(count):
        name = images / f"{number:07}.png"
        if number < DISTINCT:
            Image.fromarray(np.rint(phantom(0, number, side).values * 255).astype(np.uint8)).save(name)
        else:
            name.hardlink_to(images / f"{number % DISTINCT:07}.png")
    rows = [f"{number:07}.png,{number},train,0" for number in range(count)]
    (folder / "labels.csv").write_text("\n".join(["image,patient,split,Effusion", *rows]) + "\n")
    return folder


def floor(data: Path, size: int) -> float:
    """Return the images a second of this process, which decodes and resizes on one thread."""
    paths = sorted((data / "images").iterdir())
    read_canvas(paths[0], size, paths[0].name)
    start = time.perf_counter()
    for path in paths:
        np.rint(read_canvas(path, size, path.name)[0] * 255).astype(np.uint8)
    return len(paths) / (time.perf_counter() - start)


def pack(data: Path, cache: Path, size: int, on: Sequence[int]) -> "subprocess.Popen[bytes]":
    """Start the command on some processors."""
    words = [AGCNN, "pack", "--data", data, "--cache", cache, "--canvas-size", str(size)]
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, on)  # a child has those of the process that starts it
    try:
        return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    finally:
        os.sched_setaffinity(0, mine)


def seconds(data: Path, cache: Path, size: int, parts: Sequence[Sequence[int]]) -> float:
    """Return how long so many commands take that fill one cache together, each on processors of its own."""
    start = time.perf_counter()
    running = [pack(data, cache, size, on) for on in parts]
    assert [each.wait() for each in running] == [0] * len(running)
    return time.perf_counter() - start


def interrupted(data: Path, cache: Path, size: int, count: int) -> tuple[int, int]:
    """Kill a command when half of the images are in the cache, and run it again.

    Returns
    -------
    Number of images in the cache when the command was dead, and of the entries that the next one added.
    """
    process, file = pack(data, cache, size, sorted(os.sched_getaffinity(0))), canvases(data, cache, size)
    while len(file.rows) < count / 2:
        is_over = process.poll() is not None  # asked before the file is read, which is whole then
        file.update()
        assert len(file.rows) >= count / 2 or not is_over
        time.sleep(0.01)
    process.kill()
    process.wait()
    file.update()
    done, entries = len(file.rows), _entries(file)
    seconds(data, cache, size, [sorted(os.sched_getaffinity(0))])
    return done, _entries(file) - entries


def _entries(file: CanvasFile) -> int:
    """Return the number of whole entries of the index, one for each canvas that was written."""
    return file.index.stat().st_size // ENTRY.itemsize


def canvases(data: Path, cache: Path, size: int) -> CanvasFile:
    """Return the file of the set in a cache."""
    return open_file(cache / data.name, size)


def digest(file: CanvasFile) -> str:
    """Hash all canvases in the order of their keys, wherever they are in the file."""
    file.update()
    pixels, result = file.open(), hashlib.sha256()
    for key in sorted(file.rows):
        result.update(key + pixels[file.rows[key]].tobytes())
    return result.hexdigest()


def measure(options: argparse.Namespace, folder: Path) -> str:
    """Measure in a folder; return a table, and what became of the command that was killed."""
    count, size = options.images, options.canvas
    data, one = write_set(folder / "set", count, options.side), write_set(folder / "one", 1, options.side)
    cores = sorted(os.sched_getaffinity(0))[:2]
    bare = floor(data, size)
    ways = {"`agcnn pack` on 1 processor": [cores[:1]]}
    if len(cores) > 1:
        ways["`agcnn pack` on 2 processors"] = [cores]
        ways["two `agcnn pack` at once, 1 processor each"] = [[core] for core in cores]
    rows = [["", "images/s", "over the floor"], ["floor: one bare process", f"{bare:.1f}", ""]]
    for number, (name, parts) in enumerate(ways.items()):
        start = seconds(one, folder / f"start{number}", size, parts)
        rate = (count - 1) / (seconds(data, folder / str(number), size, parts) - start)
        rows.append([name, f"{rate:.1f}", f"{rate / bare:.2f}"])
    done, added = interrupted(data, folder / "killed", size, count)
    whole, killed = (canvases(data, folder / name, size) for name in ("0", "killed"))
    assert digest(whole) == digest(killed)
    assert len(killed.rows) == count
    size_text = f"{count} PNG files of {options.side} × {options.side} pixels, canvases of {size}"
    return f"""{processors()} processors, {platform.machine()}; {size_text}

{table(rows)}

Killed with {done} of {count} images in the cache; the same command then decoded {added}, and the canvases have the \
SHA-256 of those of a run that nothing interrupted."""


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--side", type=int, default=1024, help="of an image; that of ChestX-ray14")
    parser.add_argument("--canvas", type=int, default=896)
    return parser.parse_args(words)


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        print(measure(arguments(), Path(temporary)))
