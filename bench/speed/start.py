"""From the start of the process to ready, on a warm page cache: `python -m bench.speed.start`."""

import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.prevalence import ROOT
from bench.scores import table
from bench.speed.figure import Figure, Report, number
from bench.speed.section import Results, Run, Section
from service.settings import SHIPPED_ARTEFACT
from tests.pacs.orthanc import free_ports
from tests.service.dimse.serving import TRIAGE, environment

_PHASES = Path(__file__).with_name("start_phases.py")
_PACKAGES = 12
_SECONDS = 60
_UNSET = ("TRIAGE_LIMITS__DECODE_WORKERS", "TRIAGE_RUNTIME__THREADS")  # which tests set


def measure(run: Run) -> None:
    starts = run.size.starts
    if starts > 1:
        run.kept.once("before", lambda: _started(run, "before"))  # fills the page cache
        run.kept.once("used folder", lambda: [_started(run, "before") for _ in range(starts)])
    run.kept.once("new folder", lambda: [_started(run, f"new-{n}") for n in range(starts)])
    phases, imports = _phases(run, "-X", "importtime")
    run.kept.once("imports", lambda: imports)
    run.kept.once("phases", lambda: _medians([_phases(run)[0] for _ in range(starts)]) if starts > 1 else phases)


def started(variables: dict[str, str], port: int, log: Path) -> tuple[float, float]:
    """Start the service; return the seconds until it answers at all, and until it is ready."""
    with log.open("w") as stream:
        start = time.perf_counter()
        process = subprocess.Popen([TRIAGE, "serve"], env=variables, stdout=stream, stderr=stream)
        try:
            answering = None
            while (status := _status(port)) != 200:
                answering = answering or (time.perf_counter() if status else None)
                if process.poll() is not None or time.perf_counter() - start > _SECONDS:
                    raise RuntimeError(f"the service did not start: {log.read_text()[-500:]}")
                time.sleep(0.005)
            ready = time.perf_counter()
        finally:
            process.terminate()
            process.wait(60)
    return (answering or ready) - start, ready - start


def report(results: Results) -> Report:
    rows = results.get("start", {})
    fresh = statistics.median([each[1] for each in rows["new folder"]]) if "new folder" in rows else None
    return Report(_text(rows) if "phases" in rows else "", [Figure("cold start to ready", "≤", 1.5, fresh, " s")])


def _text(rows: dict[str, Any]) -> str:
    starts = [
        [name, *(f"{statistics.median([each[part] for each in rows[name]]):.2f} s" for part in (0, 1))]
        for name in ("new folder", "used folder")
        if name in rows
    ]
    phases = [[name, f"{value:.0f}"] for name, value in rows["phases"].items()]
    imports = [[name, number(value)] for name, value in rows["imports"].items()]
    return f"""From the start of the process to the first answer of `/readyz`, and to its first 200; medians of
{len(rows["new folder"])} starts. A new storage folder gets its tables; a used one has them.

{table([["", "answers", "ready"], *starts])}

One process that does the same work, one phase after another:

{table([["phase", "ms"], *phases])}

Imports of the process, by package (`python -X importtime`, which makes them slower):

{table([["package", "ms"], *imports])}"""


def _started(run: Run, name: str) -> tuple[float, float]:
    folder = run.folder / name
    folder.mkdir(exist_ok=True)
    port = free_ports().http
    variables = environment(SHIPPED_ARTEFACT, folder, TRIAGE_HTTP__PORT=str(port))
    return started({k: v for k, v in variables.items() if k not in _UNSET}, port, run.folder / f"{name}.log")


def _status(port: int) -> int:
    """Return the status of /readyz, 0 while nothing listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def _phases(run: Run, *options: str) -> tuple[dict[str, float], dict[str, float]]:
    """Do the work of a start in one process; return its phases, and its imports if the options print them, in ms."""
    with tempfile.TemporaryDirectory(dir=run.folder) as folder:
        variables = os.environ | {"PYTHONPATH": str(ROOT), "TRIAGE_STORAGE__FOLDER": folder}
        command = [sys.executable, "-P", *options, str(_PHASES)]
        begin = time.perf_counter()
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
        whole = 1000 * (time.perf_counter() - begin)
    phases: dict[str, float] = json.loads(done.stdout)
    return {"interpreter, its start and its end": whole - sum(phases.values())} | phases, _imports(done.stderr)


def _medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median([row[name] for row in rows]) for name in rows[0]}


def _imports(output: str) -> dict[str, float]:
    """Return the milliseconds that the modules of each package take themselves, the slowest packages first."""
    spent: Counter[str] = Counter()
    for own, module in re.findall(r"^import time:\s*(\d+) \|\s*\d+ \|\s*(\S+)", output, re.MULTILINE):
        spent[module.split(".")[0]] += int(own)
    slowest = {name: us / 1000 for name, us in spent.most_common(_PACKAGES)}
    return slowest | {"all others": spent.total() / 1000 - sum(slowest.values())}


SECTION = Section("start", "Start", measure, report)

if __name__ == "__main__":
    from bench.speed.command import main

    main("start")
