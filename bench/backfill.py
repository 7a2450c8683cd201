"""Rate of `triage backfill`, and what it costs to lose a part of it: `python -m bench.backfill [--files N] ...`.

The floor is that of `bench.folder`: bare processes that read files, make the canvas and run the network, one file after
another. Files are a few radiographs under many names. Both engines are the command as its user runs it; their start is
left out, as the time of a run of one file. `--kill` kills a worker, then a node of two and then the
command in mid-run, starts the command again, and counts the rows of every file.
"""

import argparse
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from bench.folder import DISTINCT, floor
from bench.scores import table
from service.inference.provider import processors
from service.settings import SHIPPED_ARTEFACT
from tests.factories import dicom_bytes

TRIAGE = Path(sys.executable).with_name("triage")
_DIGITS = b"100000000000"  # the digits of the UIDs, which are replaced in each file


def write_archive(folder: Path, count: int, side: int) -> None:
    """Write radiographs of 12 bits, each under UIDs of its own."""
    smooth = 2000 + 750 * (np.sin(np.linspace(0, 3, side))[:, None] + np.cos(np.linspace(0, 3, side)))
    noises = [np.random.default_rng(number).normal(0, 30, smooth.shape) for number in range(DISTINCT)]
    uids = {
        name: f"2.25.3{place}{_DIGITS.decode()}" for place, name in enumerate(("StudyInstanceUID", "SOPInstanceUID"))
    }
    originals = [dicom_bytes((smooth + noise).clip(0, 4095).astype(np.uint16), **uids) for noise in noises]
    for number in range(count):
        path = folder / f"{number // 1000:04}" / f"{number:07}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(originals[number % DISTINCT].replace(_DIGITS, b"%d" % (int(_DIGITS) + number)))


def command(archive: Path, destination: Path, engine: Sequence[str], decoders: int) -> "subprocess.Popen[bytes]":
    """Start the command with a number of decoder processes."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("TRIAGE_")}
    more = {"TRIAGE_LIMITS__DECODE_WORKERS": str(decoders)}
    words = [str(TRIAGE), "backfill", str(archive), str(destination), *engine]
    with destination.with_name("log").open("ab") as log:
        return subprocess.Popen(words, env=variables | more, stderr=log, start_new_session=True)


def seconds(archive: Path, destination: Path, engine: Sequence[str], decoders: int) -> float:
    """Return how long the command takes."""
    start = time.perf_counter()
    process = command(archive, destination, engine, decoders)
    assert process.wait() == 0, destination.with_name("log").read_text()[-2000:]
    return time.perf_counter() - start


def rate(folder: Path, engine: Sequence[str], decoders: int, files: int) -> tuple[float, float]:
    """Return images per second, without the start, and the seconds of the start."""
    taken = {}
    for name, count in (("archive", files), ("one", 1)):
        destination = folder / f"{name}-table"
        shutil.rmtree(destination, ignore_errors=True)
        taken[name] = seconds(folder / name, destination, engine, decoders)
        assert rows(destination) == {1: count}
    return (files - 1) / (taken["archive"] - taken["one"]), taken["one"]


def rows(destination: Path) -> dict[int, int]:
    """Return how many files have so many rows."""
    tables = [parquet.read_table(part, columns=["file"]) for part in destination.glob("*.parquet")]
    names = Counter(pa.concat_tables(tables)["file"].to_pylist()) if tables else Counter[str]()
    return dict(Counter(names.values()))


def measure(options: argparse.Namespace, folder: Path) -> str:
    """Measure the rates in a folder; return a table."""
    archive = folder / "archive"
    write_archive(archive, options.files, options.side)
    write_archive(folder / "one", 1, options.side)
    names = sorted(archive.rglob("*.dcm"))
    bare = max(floor(names, SHIPPED_ARTEFACT) for _ in range(options.rounds))
    lines = [
        ["", "images/s", "over the floor", "start"],
        [f"floor: {processors()} bare processes", f"{bare:.1f}", "", ""],
    ]
    for engine in options.engines:
        for count in sorted({1, processors()} if engine == "local" else {processors()}):  # Ray takes all cores
            best, start = max(rate(folder, ["--engine", engine], count, options.files) for _ in range(options.rounds))
            row = [f"{engine}, decoder processes: {count}", f"{best:.1f}", f"{best / bare:.2f}", f"{start:.1f} s"]
            lines.append(row)
    about = f"{options.files} files of {options.side} × {options.side} pixels, 12 bits, uncompressed"
    machine = f"{processors()} processors, {platform.machine()}, Python {platform.python_version()}"
    return f"{machine}; {about}\n\n{table(lines)}"


def kill_all(options: argparse.Namespace, folder: Path) -> str:
    """Kill a worker, a node and the command; return what became of the rows."""
    archive, destination = folder / "archive", folder / "table"
    write_archive(archive, options.files, options.side)
    words = [sys.executable, "-m", "tests.service.backfill.two_nodes"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nodes:
        assert nodes.stdin is not None
        assert nodes.stdout is not None
        engine = ["--engine", "ray", "--address", nodes.stdout.readline().strip()]
        process = command(archive, destination, engine, 1)
        for share, victim in ((0.1, "worker"), (0.3, "node")):
            _wait(destination, share * options.files, process)
            nodes.stdin.write(f"{victim}\n")
            nodes.stdin.flush()
            nodes.stdout.readline()
        _wait(destination, 0.6 * options.files, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        before = sum(rows(destination).values())
        seconds(archive, destination, engine, 1)
        nodes.stdin.close()
    found = rows(destination)
    assert found == {1: options.files}, found
    return (
        f"{options.files} files; a worker, a node of two and the command were killed. The command had written {before} "
        f"rows by then; the next one wrote the rest: {found[1]} files with one row each, none without, none with more."
    )


def _wait(destination: Path, count: float, process: "subprocess.Popen[bytes]") -> None:
    while sum(rows(destination).values()) < count:
        assert process.poll() is None, destination.with_name("log").read_text()[-2000:]
        time.sleep(0.5)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--engines", nargs="+", choices=("local", "ray"), default=["local", "ray"])
    parser.add_argument("--kill", action="store_true")
    return parser.parse_args(words)


if __name__ == "__main__":
    chosen = arguments()
    with TemporaryDirectory() as temporary:
        print((kill_all if chosen.kill else measure)(chosen, Path(temporary)))
