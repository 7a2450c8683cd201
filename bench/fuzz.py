"""Send hostile inputs to the service and its acceptor, and check that nothing that must hold breaks.

    .venv/bin/python -m bench.fuzz --inputs 2000             once
    .venv/bin/python -m bench.fuzz --inputs 100000           again with the same folder goes on where it ended
    .venv/bin/python -m bench.fuzz --hours 8                 make fuzz HOURS=8

What must hold: no answer is 500 and nothing unexpected is in the log; no answer takes longer than 10 s; no decoder
process is replaced without a reason in the log; the memory of all processes stays within 1.2 times that after warming
up; and the next good request, by each way, is answered. An input that breaks this is written to the folder;
`--again NAME` sends it again.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.processes import memory_bytes, tree, workers
from tests.hostile.generators import Input, good, large, make, names
from tests.service.dimse import peer
from tests.service.dimse.serving import Process, acceptor, environment, service

SLOW_SECONDS = 10.0
PATIENCE = 90.0  # after which an input counts as one that hangs
QUIET_SECONDS = 0.3  # after which the acceptor is taken to wait for more
GROWTH = 1.2
BATCH, WARM = 100, 300
PART = 5000  # inputs after which the processes are started anew, in an empty folder
CLIENTS = 4
REASONS = {"decode_timeout": 1, "decoder_failed": 2}  # codes in the log, and the processes that each costs at most


@dataclass
class Running:
    """The two processes, a client of one, and where their logs have been read to."""

    http: Process
    dimse: Process
    client: httpx.Client
    read: dict[Path, int] = field(default_factory=dict)
    workers: set[int] = field(default_factory=set)  # all decoder processes that were seen
    reasons: int = 0  # in the log, for one of them to be replaced

    def new_lines(self) -> list[dict[str, object]]:
        """Return what both have logged since the last call."""
        lines = []
        for log in (self.http.log, self.dimse.log):
            with log.open("rb") as stream:
                start = stream.seek(self.read.get(log, 0))
                whole = stream.read().rpartition(b"\n")[0]  # not a line that is being written
            self.read[log] = start + len(whole)
            lines += [_parsed(line) for line in whole.decode(errors="replace").splitlines() if line.strip()]
        return lines


def _parsed(line: str) -> dict[str, object]:
    try:
        parsed = json.loads(line)
    except ValueError:
        return {"event": "no JSON", "text": line}
    return parsed if isinstance(parsed, dict) else {"event": "no JSON", "text": line}


@dataclass
class Report:
    """Answers by route, and what broke."""

    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    growth: float = 1.0
    replaced: int = 0
    slowest: float = 0.0

    def table(self) -> str:
        """Return the number of each answer, and the figures of the processes."""
        lines = [f"{count:8,}  {answer}" for answer, count in sorted(self.answers.items())]
        figures = (
            f"memory {self.growth:.3f} x, slowest {self.slowest:.1f} s, decoder processes replaced {self.replaced}"
        )
        return "\n".join([*lines, f"{sum(self.answers.values()):8,}  inputs; {figures}", *self.failures])


def run(
    some: list[str], artefact: Path, folder: Path, report: Report, warm: int = WARM, slow: float = SLOW_SECONDS
) -> None:
    """Send inputs to processes that are started for them, and add what happens to the report."""
    folder.mkdir(parents=True, exist_ok=True)
    with _running(artefact, folder) as running, ThreadPoolExecutor(CLIENTS) as threads:
        _check_good(running, f"good/{some[0]}", report)
        # Every decoder process is started, and keeps what memory it needs for a radiograph of full size.
        bodies = [large(f"large/{number}") for number in range(2 * CLIENTS)]
        list(threads.map(lambda body: _by_http(running, Input("large", "predictions", body)), bodies))
        running.workers = workers(running.http.process.pid)
        before, growth = 0, 1.0
        for start in range(0, len(some), BATCH):
            batch = some[start : start + BATCH]
            for input_, answer, seconds in threads.map(lambda name: _sent(running, make(name)), batch):
                report.answers[answer] += 1
                report.slowest = max(report.slowest, seconds)
                if seconds > slow or " 500" in answer or "broken" in answer:
                    _keep(input_, f"{answer} after {seconds:.1f} s", folder, report)
            _check_good(running, f"good/{batch[-1]}", report)
            _check_log(running, batch, report)
            memory = memory_bytes(tree(running.http.process.pid) | tree(running.dimse.process.pid))
            if start + len(batch) <= warm:
                before = memory
            elif before:
                growth = max(growth, memory / before)
        report.growth = max(report.growth, growth)
        if growth > GROWTH:
            report.failures.append(f"memory grew to {growth:.2f} times, in {some[0]} to {some[-1]}")


@contextmanager
def _running(artefact: Path, folder: Path) -> Iterator[Running]:
    variables = environment(
        artefact,
        folder,
        TRIAGE_LIMITS__REQUESTS_PER_SECOND="0",
        TRIAGE_LIMITS__DECODE_WORKERS="2",
        TRIAGE_STORAGE__CACHE_BYTES="0",
    )
    with ExitStack() as stack:
        http = stack.enter_context(service(variables, folder / "service.log"))
        dimse = stack.enter_context(acceptor(variables, http.address, folder / "acceptor.log"))
        client = httpx.Client(base_url=http.address, timeout=PATIENCE, trust_env=False)
        yield Running(http, dimse, stack.enter_context(client))


def _sent(running: Running, input_: Input) -> tuple[Input, str, float]:
    start = time.monotonic()
    try:
        answer = _by_dimse(running, input_.body) if input_.route == "dimse" else _by_http(running, input_)
    except (httpx.HTTPError, OSError) as error:
        answer = f"broken: {type(error).__name__}"
    return input_, f"{input_.route} {answer}", time.monotonic() - start


def _by_http(running: Running, input_: Input) -> str:
    path = "/dicom-web/studies" if input_.route == "stow" else "/v1/predictions"
    response = running.client.post(path, content=input_.body, headers={b"Content-Type": input_.content_type})
    if response.headers.get("content-type", "").startswith("application/problem+json"):
        return f"{response.status_code} {response.json()['code']}"
    return str(response.status_code)


def _by_dimse(running: Running, data: bytes) -> str:
    """Send a request, then the rest, then that no more comes; return the kinds of the PDUs in the answer."""
    kinds: list[int] = []
    with peer.connected(running.dimse.port, PATIENCE) as connection, suppress(ConnectionError):
        request = 6 + int.from_bytes(data[2:6], "big") if data[:1] == b"\1" else len(data)
        for part in filter(None, (data[:request], data[request:])):
            connection.sendall(part)
            connection.settimeout(QUIET_SECONDS)
            with suppress(TimeoutError):
                while (answer := peer.receive(connection)) is not None:
                    kinds.append(answer[0])
                    if len(kinds) == 1 and answer[0] == peer.ACCEPTED:  # which comes first
                        break
            connection.settimeout(PATIENCE)
        peer.send_no_more(connection)
        kinds += peer.until_the_end(connection)
    return "PDUs " + ("".join(map(str, dict.fromkeys(kinds))) or "none")


def _check_good(running: Running, name: str, report: Report) -> None:
    try:
        response = running.client.post(
            "/v1/predictions", content=good(name), headers={"Content-Type": "application/dicom"}
        )
        with peer.admitted(running.dimse.port) as connection:  # the places of those before may not be free yet
            connection.sendall(peer.echo())
            status = peer.status(peer.receive(connection))
    except (httpx.HTTPError, OSError, AssertionError) as error:
        report.failures.append(f"{name}: {type(error).__name__} {error}")
        return
    if response.status_code != httpx.codes.OK or status:
        report.failures.append(f"{name}: HTTP {response.status_code}, DIMSE {status:04X}")


def _check_log(running: Running, batch: list[str], report: Report) -> None:
    """Look for unexpected errors, and for decoder processes that were replaced more often than the log says why.

    A process is replaced when the next file needs it, which may be in a later batch.
    """
    span = f"{batch[0]} to {batch[-1]}"
    for line in running.new_lines():
        if line.get("event") in ("unexpected", "no JSON"):
            report.failures.append(f"{span}: in the log {json.dumps(line)[:600]}")
        running.reasons += REASONS.get(str(line.get("code")), 0)
    new = workers(running.http.process.pid) - running.workers
    running.workers |= new
    report.replaced += len(new)
    running.reasons -= len(new)
    if running.reasons < 0:
        report.failures.append(f"{span}: the log has no reason for {-running.reasons} new decoder processes")
        running.reasons = 0


def _keep(input_: Input, answer: str, folder: Path, report: Report) -> None:
    failing = folder / "failing"
    failing.mkdir(exist_ok=True)
    (failing / f"{input_.name.replace('/', '-')}.bin").write_bytes(input_.body)
    report.failures.append(f"{input_.name}: {answer}")


def main() -> int:
    """Run, going on where the last run in the folder ended; return 1 if anything broke."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--inputs", type=int, default=2000, help="the number of the last input")
    options.add_argument("--hours", type=float, help="instead of a number of inputs")
    options.add_argument("--folder", type=Path, default=Path("build/fuzz"))
    options.add_argument("--again", metavar="NAME", nargs="+", help="send these inputs and nothing else")
    chosen = options.parse_args()
    artefact = _artefact(chosen.folder)
    if chosen.again:
        report = Report()
        run(chosen.again, artefact, chosen.folder / "again", report)
        print(report.table())
        return bool(report.failures)
    return _parts(artefact, chosen.folder, sys.maxsize if chosen.hours else chosen.inputs, chosen.hours)


def _parts(artefact: Path, folder: Path, inputs: int, hours: float | None) -> int:
    state = folder / "state.json"
    document = json.loads(state.read_text()) if state.exists() else {"next": 0, "answers": {}, "failures": []}
    report = Report(Counter(document["answers"]), document["failures"], document.get("growth", 1.0))
    report.replaced, report.slowest = document.get("replaced", 0), document.get("slowest", 0.0)
    end = time.monotonic() + 3600 * hours if hours else float("inf")
    first = document["next"]
    while first < inputs and time.monotonic() < end:
        count = min(PART, inputs - first)
        run(names(first, count), artefact, folder / f"part-{first}", report)
        first += count
        figures = {"growth": report.growth, "replaced": report.replaced, "slowest": report.slowest}
        kept = {"next": first, "answers": report.answers, "failures": report.failures}
        state.write_text(json.dumps(kept | figures))
        print(f"{first:,} inputs, {len(report.failures)} failures", flush=True)
    print(report.table())
    return bool(report.failures)


def _artefact(folder: Path) -> Path:
    from tests.artefacts import tiny_artefact  # imports torch

    folder.mkdir(parents=True, exist_ok=True)
    return tiny_artefact(folder)


if __name__ == "__main__":
    sys.exit(main())
