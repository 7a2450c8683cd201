"""The floor: what a file requires in bare processes, without a server: `python -m bench.speed.floor`."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from bench.prevalence import ROOT
from bench.scores import table
from bench.speed import films
from bench.speed.figure import Figure, Report, number, ratio
from bench.speed.kept import Rows
from bench.speed.section import BUILD, Results, Run, Section
from bench.speed.size import SYNTAXES
from service.settings import SHIPPED_ARTEFACT

BEFORE = "8b6cbcf8a41f7c88fa1fe609e9b7140d48233d49"  # the last commit before the work on speed
PARTS = ("file", "read", "decode", "prepare", "canvas", "network", "write and sync")
_PROCESS = Path(__file__).with_name("floor_process.py")


class Processes:
    """Floor processes that work at the same time."""

    def __init__(self, processes: Sequence["subprocess.Popen[str]"]) -> None:
        self._processes = processes

    def first(self) -> "Processes":
        """Return the first alone; the others wait."""
        return Processes(self._processes[:1])

    def ask(self, job: dict[str, Any]) -> list[Any]:
        """Give all processes the same job, and return the answer of each."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
        return [_line(process) for process in self._processes]


@contextmanager
def processes(count: int, sources: Path = ROOT) -> Iterator[Processes]:
    """Run floor processes with the `service` of a folder."""
    variables = os.environ | {"PYTHONPATH": str(sources), "ORT_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-P", str(_PROCESS), str(sources / SHIPPED_ARTEFACT.relative_to(ROOT))]
    with ExitStack() as stack:
        started = [
            subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(count)
        ]
        for process in started:
            stack.enter_context(process)
            stack.callback(process.kill)
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield Processes(started)


def measure(run: Run) -> None:
    run.films()
    paths = {syntax: str(_path(run, syntax)) for syntax in SYNTAXES}
    with processes(2) as both:
        for count, floor in ((1, both.first()), (2, both)):
            for syntax, path in paths.items():
                floor.ask({"do": "repeat", "file": path, "seconds": 0, "folder": ""})  # warms up
                for stored in (False, True):
                    run.kept.once(key(syntax, count, stored), lambda: _rate(run, floor, path, stored))  # noqa: B023
        job = {"do": "hash_share", "file": paths["uncompressed"], "repeats": run.size.repeats}
        run.kept.once("hash share", lambda: both.first().ask(job)[0])
    run.kept.once("before", lambda: _before(run, paths["uncompressed"]))


def key(syntax: str, count: int, stored: bool) -> str:
    """Return the key of a row."""
    return f"{syntax}, {count}{', stored' if stored else ''}"


def rate(rows: Rows, syntax: str, count: int, stored: bool) -> float | None:
    """Return the files a second of some processes, if it was measured."""
    row = rows.get(key(syntax, count, stored))
    return row["rate"] if row else None


def report(results: Results) -> Report:
    rows = results.get("floor", {})
    head = ["files a second", "1 process", "2 processes", "1, writing and syncing", "2, writing and syncing"]
    rates = [
        [syntax, *(_cell(rate(rows, syntax, count, stored)) for stored in (False, True) for count in (1, 2))]
        for syntax in SYNTAXES
    ]
    parts = [["milliseconds of one file, medians, 1 process", *PARTS, "hash, of these"]]
    parts += [[syntax, *_parts(rows, syntax)] for syntax in SYNTAXES]
    before = rows.get("before") or {}
    own = rate(rows, "uncompressed", 1, False)
    text = f"""Bare processes read a file, run `radiograph`, `canvas` and the network on one thread, and, in the columns
to the right, write and sync the same bytes as the service does. Nothing else runs; in the other sections the clients
share the processors with the service.

{table([head, *rates])}

{table(parts)}

`read` is parsing and the gate, `prepare` is the display and the hash of the identity; the hash is a profiler's share.
{_sentence(before, own)}"""
    return Report(text, [Figure(_COMPUTING, "≥", 2.5, ratio(own, before.get("rate")))])


_COMPUTING = "computing of one uncompressed file: before the work on speed over now"


def _sentence(before: Rows, own: float | None) -> str:
    if "rate" not in before:
        return f"The sources before the work on speed could not be measured: {before.get('obstacle', 'not tried')}."
    now = f", and {number(own)} with those of now" if own else ""
    return (
        f"One process does {number(before['rate'])} uncompressed files a second with the sources of {BEFORE[:7]}, "
        f"before the work on speed{now}."
    )


def _cell(value: float | None) -> str:
    return "" if value is None else number(value)


def _parts(rows: Rows, syntax: str) -> Iterator[str]:
    row, stored = rows.get(key(syntax, 1, False)), rows.get(key(syntax, 1, True))
    for name in PARTS:
        source = stored if name == PARTS[-1] else row
        yield _cell(source["parts_ms"].get(name)) if source else ""
    share = rows.get("hash share")
    yield _cell(share * 1000 / row["rate"]) if row and share is not None and syntax == "uncompressed" else ""


def _path(run: Run, syntax: str) -> Path:
    return films.path(BUILD / "films", run.size.height, run.size.width, syntax)


def _rate(run: Run, floor: Processes, path: str, stored: bool) -> Rows:
    folder = run.folder / "stored"
    folder.mkdir()
    job = {"do": "repeat", "file": path, "seconds": 2 / 3 * run.size.window, "folder": str(folder) if stored else ""}
    answers = floor.ask(job)
    shutil.rmtree(folder)
    together = sum(answer["files"] / answer["seconds"] for answer in answers)
    return {"rate": together, "parts_ms": answers[0]["parts_ms"], "cpu_each": answers[0]["cpu_each"]}


def _before(run: Run, path: str) -> Rows:
    """Measure the floor with the sources of `BEFORE`."""
    sources = run.folder / "before"
    archive = subprocess.run(["git", "archive", BEFORE, "service"], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        return {"obstacle": "git has no commit 8b6cbcf here"}
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
        tar.extractall(sources, filter="data")
    with processes(1, sources) as floor:
        floor.ask({"do": "repeat", "file": path, "seconds": 0, "folder": ""})
        return _rate(run, floor, path, stored=False)


def _line(process: "subprocess.Popen[str]") -> Any:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"a floor process ended with status {process.wait()}")
    return json.loads(line)


SECTION = Section("floor", "The floor", measure, report)

if __name__ == "__main__":
    from bench.speed.command import main

    main("floor")
