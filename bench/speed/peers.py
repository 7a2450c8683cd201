"""Plain FastAPI and LitServe with the same artefact on the same processors: `python -m bench.speed.peers`."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from bench.prevalence import ROOT
from bench.scores import table
from bench.speed import throughput
from bench.speed.client import Request
from bench.speed.closed_loop import closed_loop, warm_up
from bench.speed.figure import Figure, Report, number, ratio
from bench.speed.litserve import FOLDER as LITSERVE
from bench.speed.section import Results, Run, Section
from bench.speed.size import CLIENTS
from service.settings import SHIPPED_ARTEFACT
from tests.pacs.orthanc import free_ports

FASTAPI, LIT = "plain FastAPI", "LitServe"
PEERS = (FASTAPI, LIT)
_SECONDS_TO_START = 60


def measure(run: Run) -> None:
    [film] = run.films(("uncompressed",))
    with _peer(
        run.folder, ["-m", "uvicorn", "bench.speed.peer_fastapi:app", "--log-level", "warning", "--port"]
    ) as url:
        raw = Request("/predict", "application/dicom", [film.data])
        _load(run, FASTAPI, url, raw)
    if not LITSERVE.is_dir():
        print(f"  {_absent()}", flush=True)
        return
    with _peer(run.folder, ["-m", "bench.speed.peer_litserve"]) as url:
        content = json.dumps({"file": base64.b64encode(film.data).decode()}).encode()
        _load(run, LIT, url, Request("/predict", "application/json", [content]))


def report(results: Results) -> Report:
    rows = results.get("peers", {})
    head = ["uncompressed, images a second (p50)", *(f"{clients} clients" for clients in CLIENTS)]
    lines = [[name, *(_cell(rows.get(f"{name}, {clients}")) for clients in CLIENTS)] for name in PEERS]
    ours = results.get("throughput", {})
    lines.insert(0, ["the service", *(_cell(ours.get(throughput.key("uncompressed", c))) for c in CLIENTS)])
    figures = [
        Figure(
            f"throughput over {name}, {clients} client{'s' if clients > 1 else ''}",
            *("≥", 2, ratio(throughput.rate(results, "uncompressed", clients), _rate(rows.get(f"{name}, {clients}")))),
            " ×",
        )
        for name in PEERS
        for clients in CLIENTS
    ]
    text = f"""`bench/speed/peer_*.py` have the sources of the two. Neither checks, identifies or stores anything;
FastAPI has uvloop and httptools, takes the raw body and runs it in a thread of its pool; LitServe takes base64 in JSON
and has two workers.
{"" if any(key.startswith(LIT) for key in rows) else _absent()}

{table([head, *lines])}"""
    return Report(text, figures)


def _load(run: Run, name: str, url: str, request: Request) -> None:
    warm_up(url, 2, lambda: request)
    for clients in CLIENTS:
        key = f"{name}, {clients}"
        run.kept.once(key, lambda: closed_loop(url, clients, run.size.window, lambda: request))  # noqa: B023


@contextmanager
def _peer(folder: Path, arguments: Sequence[str]) -> Iterator[str]:
    """Run a server that takes its port as its last argument, and yield its address once it is healthy.

    LitServe's folder has uvloop and httptools, too, which `fastapi[standard]` brings and uvicorn takes.
    """
    address = f"http://127.0.0.1:{(port := free_ports().http)}"
    paths = os.pathsep.join(map(str, (ROOT, LITSERVE)))
    variables = os.environ | {"PYTHONPATH": paths, "PEER_ARTEFACT": str(SHIPPED_ARTEFACT)}
    with (folder / "peer.log").open("a+") as log:
        command = [sys.executable, *arguments, str(port)]
        process = subprocess.Popen(command, env=variables, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait(address, process, folder / "peer.log")
            yield address
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # LitServe's workers outlive their parent
            process.wait(30)


def _wait(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _SECONDS_TO_START
    while not _healthy(address):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not start: {log.read_text()[-500:]}")
        time.sleep(0.05)


def _healthy(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health").status_code == 200
    except httpx.TransportError:
        return False


def _absent() -> str:
    return "LitServe is not installed; `make build/litserve/made` fetches it into a folder of its own."


def _cell(row: dict[str, float] | None) -> str:
    return f"{number(row['rate'])} ({1000 * row['p50']:.0f} ms)" if row else ""


def _rate(row: dict[str, float] | None) -> float | None:
    return row["rate"] if row else None


SECTION = Section("peers", "Plain FastAPI and LitServe", measure, report)

if __name__ == "__main__":
    from bench.speed.command import main

    main("peers")
