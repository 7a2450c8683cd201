"""Rate of `triage backfill`, and what it costs to lose a part of it: `python -m bench.backfill [--files N] ...`.

The floor is that of `bench.folder`: bare processes that read files, make the canvas and run the network, one file after
another. Files are a few phantoms under many UIDs. Both engines are the command as its user runs it; their start is left
out, as the time of a run of one file. `--kill` kills a worker, then a node of two and then the command in mid-run,
starts the command again, counts the rows of every file, and compares them with those of the local engine.
"""

import argparse
import math
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from pyarrow import parquet
from pydicom import dcmread

from bench.folder import DISTINCT, floor
from bench.processes import tree_mib
from bench.scores import table
from service.inference.provider import processors
from service.settings import SHIPPED_ARTEFACT
from training.phantom.dicom import write_dicom
from training.phantom.film import phantom

TRIAGE = Path(sys.executable).with_name("triage")
_DIGITS = b"100000000000"  # the digits of the UIDs, which are replaced in each file


@dataclass(frozen=True)
class Run:
    """A run of the command: images per second without the start, seconds of the start, and MiB of all its processes."""

    rate: float
    start: float
    early: float
    late: float


def write_archive(folder: Path, count: int, side: int) -> None:
    """Write phantom radiographs of 12 bits, each under UIDs of its own."""
    originals = [_original(number, side) for number in range(min(count, DISTINCT))]
    for number in range(count):
        path = folder / f"{number // 1000:04}" / f"{number:07}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(originals[number % DISTINCT].replace(_DIGITS, b"%d" % (int(_DIGITS) + number)))


def _original(number: int, side: int) -> bytes:
    dataset, buffer = dcmread(BytesIO(write_dicom(phantom(0, number, side), 0))), BytesIO()
    for place, name in enumerate(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")):
        setattr(dataset, name, f"2.25.3{place}{_DIGITS.decode()}")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(buffer)
    return buffer.getvalue()


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster on this machine.

    Attributes
    ----------
    process
        The program that has started it.
    address
        Its address for the command.
    """

    process: "subprocess.Popen[str]"
    address: str

    def kill(self, victim: str) -> None:
        """Kill a `node` or a `worker`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{victim}\n")
        self.process.stdin.flush()
        self.process.stdout.readline()


@contextmanager
def cluster(nodes: int, cores: int) -> Iterator[Cluster]:
    """Start a Ray cluster of so many nodes of so many cores, and stop it at the end."""
    words = [sys.executable, "-m", "tests.service.backfill.nodes", str(nodes), str(cores)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Cluster(process, process.stdout.readline().strip())
        process.stdin.close()


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


def rate(folder: Path, engine: Sequence[str], decoders: int, files: int, cluster: int | None = None) -> Run:
    """Run the command on the archive in a folder, and on one file; `cluster` is the process of its cluster."""
    one, archive = folder / "one", folder / "archive"
    start = seconds(one, _emptied(folder / "one-table"), engine, decoders)
    destination, samples = _emptied(folder / "archive-table"), list[float]()
    begun = time.perf_counter()
    process = command(archive, destination, engine, decoders)
    while process.poll() is None:
        samples.append(sum(tree_mib(root) for root in (process.pid, cluster) if root))
        with suppress(subprocess.TimeoutExpired):
            process.wait(1)
    whole = time.perf_counter() - begun
    assert rows(destination) == {1: files}, destination.with_name("log").read_text()[-2000:]
    samples = samples or [math.nan]  # the command may end before its memory is read
    fifth = len(samples) // 5  # in the first one Ray starts
    early, late = samples[fifth : 2 * fifth] or samples, samples[-fifth:] or samples
    return Run((files - 1) / (whole - start), start, statistics.median(early), statistics.median(late))


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


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
        ["", "images/s", "over the floor", "start", "MiB in the second fifth of the time", "MiB in the last fifth"],
        [f"floor: {processors()} bare processes", f"{bare:.1f}", "", "", "", ""],
    ]
    for engine in options.engines:
        for cores in sorted({1, processors()}):
            best = max((_run(folder, engine, cores, options.files) for _ in range(options.rounds)), key=_images)
            row = [f"{engine}, decoder processes: {cores}", f"{best.rate:.1f}", f"{best.rate / bare:.2f}"]
            lines.append([*row, f"{best.start:.1f} s", f"{best.early:.0f}", f"{best.late:.0f}"])
    about = f"{options.files} files of {options.side} × {options.side} pixels, 12 bits, uncompressed"
    machine = f"{processors()} processors, {platform.machine()}, Python {platform.python_version()}"
    return f"{machine}; {about}\n\n{table(lines)}"


def _run(folder: Path, engine: str, cores: int, files: int) -> Run:
    """Run an engine on so many cores; Ray takes all that it finds, so a cluster has fewer."""
    if engine == "local" or cores == processors():
        return rate(folder, ["--engine", engine], cores, files)
    with cluster(1, cores) as nodes:
        return rate(folder, ["--engine", engine, "--address", nodes.address], cores, files, nodes.process.pid)


def _images(run: Run) -> float:
    return run.rate


def kill_all(options: argparse.Namespace, folder: Path) -> str:
    """Kill a worker, a node and the command; return what became of the rows."""
    archive, destination, oracle = folder / "archive", folder / "table", folder / "oracle"
    write_archive(archive, options.files, options.side)
    with cluster(2, 2) as nodes:
        engine = ["--engine", "ray", "--address", nodes.address]
        process = command(archive, destination, engine, 1)
        for share, victim in ((0.1, "worker"), (0.3, "node")):
            _wait(destination, share * options.files, process)
            nodes.kill(victim)
        _wait(destination, 0.6 * options.files, process)
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        before = sum(rows(destination).values())
        assert before < options.files
        seconds(archive, destination, engine, 1)
    found = rows(destination)
    assert found == {1: options.files}, found
    seconds(archive, oracle, (), processors())
    assert_same(destination, oracle)
    return (
        f"{options.files} files; a worker, a node of two and the command were killed. The command had written {before} "
        f"rows by then; the next one wrote the rest: {found[1]} files with one row each, none without, none with more, "
        "all as the local engine gives them."
    )


def assert_same(one: Path, other: Path) -> None:
    """Check that two tables have equal rows; probabilities may differ as far as batches of another size allow."""
    tables = [pa.concat_tables(map(parquet.read_table, folder.glob("*.parquet"))) for folder in (one, other)]
    ordered = [table.sort_by("file") for table in tables]
    reals = [field.name for field in ordered[0].schema if pa.types.is_floating(field.type)]
    exact, expected = (table.drop_columns(reals) for table in ordered)
    assert exact.equals(expected)
    for name in reals:
        values = [table[name].to_numpy() for table in ordered]
        np.testing.assert_allclose(*values, atol=1e-5, err_msg=name)


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
