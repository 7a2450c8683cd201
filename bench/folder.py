"""Rate and memory of `triage predict` on a folder: `python -m bench.folder [--files N] [--memory-files N] ...`.

The floor is what no command can do without: one bare process for each processor, which reads files, makes the canvas
with our own `radiograph` and `canvas`, and runs the network on one thread, one file after another. Floor and command
run in turn, and the best rate of each counts. A few radiographs are linked under many names, so that files are read
from memory and the disk does not matter. Clocks start when the processes have worked on some files.
"""

import argparse
import itertools
import math
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.processes import tree_mib
from bench.scores import table
from service.artefact.file import load
from service.dicom.canvas import canvas
from service.dicom.radiograph import radiograph
from service.inference.provider import processors
from service.inference.session import Session
from service.settings import SHIPPED_ARTEFACT
from tests.factories import dicom_bytes

DISTINCT = 8  # radiographs
SMALL = 512  # side in pixels of the files on which memory is measured, so that 20,000 of them take minutes


@dataclass(frozen=True)
class Run:
    """A run of the command: images per second, and MiB of memory after a twentieth of the files and at the end."""

    rate: float
    start: float
    end: float


def write_folder(path: Path, count: int, height: int, width: int) -> list[Path]:
    """Write uncompressed radiographs of 12 bits under `count` names, most of which are links; return the names."""
    path.mkdir()
    names = [path / f"{number:06}.dcm" for number in range(count)]
    smooth = 2000 + 750 * (np.sin(np.linspace(0, 3, height))[:, None] + np.cos(np.linspace(0, 3, width)))
    for number, name in enumerate(names):
        if number < DISTINCT:
            noise = np.random.default_rng(number).normal(0, 30, smooth.shape)
            name.write_bytes(dicom_bytes((smooth + noise).clip(0, 4095).astype(np.uint16)))
        else:
            name.hardlink_to(names[number % DISTINCT])
    return names


def floor(names: Sequence[Path], artefact: Path) -> float:
    """Return the images per second of bare processes, one for each processor."""
    count, spawn = min(processors(), len(names)), multiprocessing.get_context("spawn")
    barrier, go = spawn.Barrier(count + 1), spawn.Event()
    processes = [
        spawn.Process(target=_predict_all, args=(names[part::count], artefact, barrier, go)) for part in range(count)
    ]
    for process in processes:
        process.start()
    barrier.wait(600)
    start = time.perf_counter()
    go.set()  # after the clock has started, however late this process is
    for process in processes:
        process.join()
        assert process.exitcode == 0
    return len(names) / (time.perf_counter() - start)


def _predict_all(names: Sequence[Path], artefact: Path, barrier: Barrier, go: Event) -> None:
    loaded = load(artefact)
    session, rule = Session(loaded, "cpu", 1), loaded.card.preprocessing

    def predict(name: Path) -> None:
        image = radiograph(name.read_bytes())
        session.run(canvas(image.values, rule.canvas_size, rule.resize, image.header.aspect)[None])

    predict(names[0])
    barrier.wait(600)
    go.wait(600)
    for name in names:
        predict(name)


def command(folder: Path, output: Path, artefact: Path, files: int) -> Run:
    """Run `triage predict` with its default settings, as its user does, and follow the rows of its table."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("TRIAGE_")}
    arguments = [Path(sys.executable).with_name("triage"), "predict", "--csv", "--output", output, folder]
    variables |= {"TRIAGE_MODEL__PATH": str(artefact)}
    process = subprocess.Popen(arguments, env=variables, stderr=subprocess.PIPE)
    run = follow(_rows(output, process), files, lambda: tree_mib(process.pid))
    _, err = process.communicate()
    assert process.returncode == 0, err.decode()
    return run


def follow(table: Iterable[int], files: int, memory: Callable[[], float]) -> Run:
    """Follow the number of rows of a table; NaN is what a command has not shown that ended before it was looked at."""
    marks: list[tuple[int, float]] = []
    used: list[tuple[int, float]] = []
    for rows in table:
        marks.append((rows, time.perf_counter()))
        if rows < files and (mib := memory()):  # none is left of a command that has ended since
            used.append((rows, mib))
    assert marks[-1][0] == files
    (first, begun), (last, ended) = next(mark for mark in marks if mark[0] >= files / 20), marks[-1]
    rate = (last - first) / (ended - begun) if last > first else math.nan
    start = [mib for rows, mib in used if files / 20 <= rows <= files / 10] or [mib for _, mib in used[:1]]
    end = [mib for rows, mib in used if rows >= files * 0.95] or [mib for _, mib in used[-1:]]
    return Run(rate, *(statistics.median(each) if each else math.nan for each in (start, end)))


def _rows(output: Path, process: "subprocess.Popen[bytes]") -> Iterator[int]:
    """Yield the number of rows each time that there are more."""
    lines = -1  # the head is none
    while not output.exists() and process.poll() is None:
        time.sleep(0.01)
    with output.open("rb") as file:
        while True:
            is_over = process.poll() is not None  # asked before the file is read, so that no row is missed
            if new := file.read().count(b"\n"):
                lines += new
                if lines > 0:
                    yield lines
            elif is_over:
                return
            time.sleep(0.02)


def measure(options: argparse.Namespace, folder: Path) -> str:
    """Measure rate and memory in a folder; return a table."""
    names = write_folder(folder / "large", options.files, options.height, options.width)
    write_folder(folder / "small", options.memory_files, options.small, options.small)
    outputs = (folder / f"{number}.csv" for number in itertools.count())
    bare, whole = [], []
    for _ in range(options.rounds):
        bare.append(floor(names, options.artefact))
        whole.append(command(folder / "large", next(outputs), options.artefact, options.files).rate)
    long = command(folder / "small", next(outputs), options.artefact, options.memory_files)
    size = f"{options.width} × {options.height} pixels, 12 bits, uncompressed, {options.files} files"
    small = f"{options.small} × {options.small} pixels, {options.memory_files} files"
    rows = [
        ["figure", "value", "ratio"],
        [f"floor: {processors()} bare processes; {size}", f"{max(bare):.2f} images/s", ""],
        ["`triage predict`", f"{max(whole):.2f} images/s", f"{max(whole) / max(bare):.2f} of the floor"],
        [f"memory after a twentieth of the files; {small}", f"{long.start:.0f} MiB", ""],
        ["at the end", f"{long.end:.0f} MiB", f"{long.end / long.start:.3f} of the start"],
        ["rate of these files", f"{long.rate:.1f} images/s", ""],
    ]
    return f"{processors()} processors, {platform.machine()}, Python {platform.python_version()}\n\n{table(rows)}"


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--height", type=int, default=3000)
    parser.add_argument("--width", type=int, default=2500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-files", type=int, default=20_000)
    parser.add_argument("--small", type=int, default=SMALL, help="side of the files on which memory is measured")
    parser.add_argument("--artefact", type=Path, default=SHIPPED_ARTEFACT)
    return parser.parse_args(words)


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        print(measure(arguments(), Path(temporary)))
