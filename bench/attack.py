"""Attack the service as an outsider would, and see whether it still answers others: `python -m bench.attack`.

The service and the acceptor run with 1,024 open files each. The attacker has a key of scope `read` and one of scope
`predict`; another client, with a key of its own, sends radiographs meanwhile. Each attack must leave that client
answered within `GOOD_SECONDS`, must get no answer 500, and must leave the memory of the processes bounded.
"""

import argparse
import itertools
import json
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.prevalence import ROOT
from bench.processes import tree_mib
from bench.scores import table
from service.settings import SHIPPED_ARTEFACT
from tests.service.dimse.serving import TRIAGE, acceptor, dcmtk, environment, service

OPEN_FILES = 1024
GOOD_SECONDS = 30.0
MEMORY_MIB = 1024  # that an attack may add: the bounds on unread answers and on decoder processes
EVERY = 0.2  # seconds between two bytes of a trickle
SAMPLE = ROOT / "samples" / "pneumothorax.dcm"
FAR = 60.0


@dataclass(frozen=True)
class Target:
    """What is attacked, and the attacker's keys."""

    port: int
    dimse_port: int
    read_key: str
    predict_key: str
    prediction: str
    instance: str  # path of an instance in WADO-RS

    @property
    def url(self) -> str:
        """URL of the service."""
        return f"http://127.0.0.1:{self.port}"


@dataclass
class Outcome:
    """What an attack did."""

    name: str
    good_seconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    mib: float = 0.0


Attack = Callable[[Target, int], AbstractContextManager[object]]


def connect(port: int, sent: bytes = b"") -> socket.socket:
    """Connect, and send a first part; a connection that is refused or cut is as good."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=FAR)
    with _ended_is_fine():
        connection.sendall(sent)
    return connection


@contextmanager
def trickling(port: int, count: int, sent: bytes, data: bytes = b"x") -> Iterator[None]:
    """Hold connections that send `sent` at once and then a byte now and then; each that is closed is made again."""
    stop = threading.Event()

    def trickle() -> None:
        held: list[socket.socket] = []
        while not stop.wait(EVERY):
            held += [connect(port, sent) for _ in range(count - len(held))]
            held = [each for each in held if _sent(each, data)]
        for each in held:
            each.close()

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def holding(port: int, count: int, sent: bytes = b"") -> Iterator[None]:
    """Hold connections that send something and then neither send nor read."""
    held = [connect(port, sent) for _ in range(count)]
    try:
        yield
    finally:
        for each in held:
            each.close()


@contextmanager
def repeating(target: Target, key: str, requests: Sequence[tuple[str, str, dict[str, str], bytes]]) -> Iterator[None]:
    """Send requests again and again, from four threads."""
    stop = threading.Event()
    statuses: list[int] = []

    def send() -> None:
        with httpx.Client(base_url=target.url, timeout=FAR, headers=_bearer(key)) as client:
            for method, path, headers, content in itertools.cycle(requests):
                if stop.is_set():
                    return
                with _ended_is_fine():
                    statuses.append(client.request(method, path, headers=headers, content=content).status_code)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        if 500 in statuses:
            raise AssertionError(f"{statuses.count(500)} answers 500")


def slow_heads(target: Target, count: int) -> AbstractContextManager[None]:
    """Heads of requests that never end."""
    return trickling(target.port, count, b"GET / HTTP/1.1\r\nX: ")


def silent_connections(target: Target, count: int) -> AbstractContextManager[None]:
    """More connections than there may be open files."""
    return holding(target.port, max(count, 2 * OPEN_FILES) if count > 100 else count)


def trickling_uploads(target: Target, count: int) -> AbstractContextManager[None]:
    """Uploads with a valid key, a byte at a time."""
    head = _head("POST", "/v1/predictions", target.predict_key, "Content-Length: 15000000")
    return trickling(target.port, count, head)


def trickling_json(target: Target, count: int) -> AbstractContextManager[None]:
    """A JSON body, a byte at a time."""
    head = _head("POST", "/v1/worklist/search", target.read_key, "Content-Length: 60000")
    return trickling(target.port, count, head, b" ")


def announced_bodies(target: Target, count: int) -> AbstractContextManager[None]:
    """Heads that announce four gigabytes, and nothing after them."""
    head = _head("POST", "/v1/predictions", target.predict_key, "Content-Length: 4294967295")
    return holding(target.port, count, head)


def bombs(target: Target, _count: int) -> AbstractContextManager[None]:
    """Compressed, nested and wrong bodies."""
    json_type = {"Content-Type": "application/json"}
    nested = b"[" * 60_000
    return repeating(
        target,
        target.predict_key,
        [
            ("POST", "/v1/worklist/search", json_type, nested),
            ("POST", "/v1/worklist/search", json_type, b'{"q":' * 10_000 + b"1" + b"}" * 10_000),
            ("POST", "/v1/worklist/search", json_type, b'{"limit":1e' + b"9" * 50_000 + b"}"),
            ("POST", "/v1/predictions", {"Content-Type": "application/dicom"}, b"\0" * 128 + b"DICM" + b"\xff" * 10**6),
            ("POST", "/v1/predictions", {"Content-Type": "application/dicom", "Content-Encoding": "gzip"}, b"\x1f\x8b"),
            ("POST", "/v1/predictions", {"Content-Type": "multipart/form-data; boundary=x"}, b"--x\r\n" * 50_000),
            ("POST", "/dicom-web/studies", {"Content-Type": 'multipart/related; boundary="x"'}, b"--x\r\n" * 50_000),
        ],
    )


def repeated_frames(target: Target, _count: int) -> AbstractContextManager[None]:
    """The same frame a hundred times in one answer."""
    path = f"{target.instance}/frames/{','.join(['1'] * 100)}"
    return repeating(target, target.read_key, [("GET", path, {}, b"")])


def unread_pixels(target: Target, count: int) -> AbstractContextManager[None]:
    """Ask for large answers, and read none."""
    return holding(target.port, count, _head("GET", f"/v1/predictions/{target.prediction}/pixels", target.read_key))


def unread_studies(target: Target, count: int) -> AbstractContextManager[None]:
    """Ask for whole studies, and read none."""
    path = target.instance.partition("/series/")[0]
    return holding(target.port, count, _head("GET", path, target.read_key))


def unread_events(target: Target, count: int) -> AbstractContextManager[None]:
    """Listen to events, and read none."""
    return holding(target.port, count, _head("GET", "/v1/events", target.read_key))


def other_addresses(target: Target, _count: int) -> AbstractContextManager[None]:
    """Requests that name another client and host each time."""
    forged = [{"X-Forwarded-For": f"10.0.0.{n}", "X-Forwarded-Prefix": "/x", "Host": f"evil{n}/?#@"} for n in range(50)]
    return repeating(target, "wrong", [("GET", "/v1/predictions", headers, b"") for headers in forged])


def half_open_associations(target: Target, count: int) -> AbstractContextManager[None]:
    """DICOM connections that say nothing."""
    return holding(target.dimse_port, count)


def trickling_associations(target: Target, count: int) -> AbstractContextManager[None]:
    """Requests for an association that arrive a byte at a time."""
    return trickling(target.dimse_port, count, b"\x01\x00\x00\x00\x10\x00", b"\0")


def wrong_protocols(target: Target, count: int) -> AbstractContextManager[object]:
    """HTTP to the acceptor, and DICOM to the service."""
    stack = ExitStack()
    stack.enter_context(holding(target.dimse_port, count, _head("GET", "/", "x")))
    stack.enter_context(holding(target.port, count, b"\x01\x00\x00\x00\x00\xcd\x00\x01" + b"\0" * 200))
    return stack


ATTACKS: tuple[Attack, ...] = (
    *(slow_heads, silent_connections, trickling_uploads, trickling_json, announced_bodies, bombs),
    *(repeated_frames, unread_pixels, unread_studies, unread_events, other_addresses),
    *(half_open_associations, trickling_associations, wrong_protocols),
)


def run(
    attack: Attack, target: Target, pids: Sequence[int], size: tuple[int, float], good: Callable[[], None]
) -> Outcome:
    """Attack for a time, and send good requests meanwhile and afterwards."""
    count, seconds = size
    outcome = Outcome(attack.__name__.replace("_", " "))
    before = sum(map(tree_mib, pids))
    try:
        with attack(target, count):
            end = time.monotonic() + seconds
            while time.monotonic() < end or not outcome.good_seconds:
                outcome.good_seconds.append(_timed(good))
                outcome.mib = max(outcome.mib, sum(map(tree_mib, pids)) - before)
                time.sleep(0.2)
        outcome.good_seconds.append(_timed(good))
    except (AssertionError, OSError, httpx.HTTPError) as error:
        outcome.faults.append(f"{type(error).__name__}: {error}")
    if outcome.mib > MEMORY_MIB:
        outcome.faults.append(f"expected at most {MEMORY_MIB} MiB more, got {outcome.mib:.0f}")
    if slow := [each for each in outcome.good_seconds if each > GOOD_SECONDS]:
        outcome.faults.append(f"a good request took {max(slow):.0f} s")
    return outcome


def good_requests(target: Target, key: str) -> Callable[[], None]:
    """Return what a good client does: it sends a radiograph and an echo, and tries again where that is refused."""

    def good() -> None:
        _until_it_works(lambda: _posted(target, key))
        _until_it_works(lambda: _echoed(target.dimse_port))

    return good


@contextmanager
def running(folder: Path) -> Iterator[tuple[Target, str, list[int]]]:
    """Run service and acceptor; yields the target, the key of the good client, and the processes."""
    variables = environment(SHIPPED_ARTEFACT, folder, TRIAGE_HTTP__KEYS="always")
    few = ("prlimit", f"--nofile={OPEN_FILES}:{OPEN_FILES}")
    with service(variables, folder / "log", few) as served:
        keys = {scope: _key(variables, scope) for scope in ("read", "predict", "good")}
        (folder / "key").write_text(keys["good"])
        variables["TRIAGE_DIMSE__KEY_FILE"] = str(folder / "key")
        document = httpx.post(
            f"{served.address}/v1/predictions", content=SAMPLE.read_bytes(), timeout=FAR, headers=_upload(keys["good"])
        ).json()
        uids = (document[f"{level}_instance_uid"] for level in ("study", "series", "sop"))
        path = "/dicom-web/studies/{}/series/{}/instances/{}".format(*uids)
        with acceptor(variables, served.address, folder / "dimse.log", few) as accepting:
            target = Target(served.port, accepting.port, keys["read"], keys["predict"], document["id"], path)
            yield target, keys["good"], [served.process.pid, accepting.process.pid]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all attacks; return how many succeeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=1000, help="of one attack")
    parser.add_argument("--seconds", type=float, default=45.0, help="of one attack")
    parser.add_argument("--only", default="", metavar="NAME,...")
    options = parser.parse_args(arguments)
    chosen = [each for each in ATTACKS if not options.only or each.__name__ in options.only.split(",")]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the attacker holds more connections than the service may
    outcomes = []
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as (target, key, pids):
        good = good_requests(target, key)
        good()
        for attack in chosen:
            outcomes.append(run(attack, target, pids, (options.connections, options.seconds), good))
            print(json.dumps(vars(outcomes[-1])), flush=True)
        log = (Path(folder) / "log").read_text()
        unexpected = [line for line in log.splitlines() if '"unexpected"' in line or "Traceback" in line]
    print(table([["attack", "good requests", "slowest", "memory", "result"], *map(_row, outcomes)]))
    print(*unexpected, sep="\n")
    return sum(bool(each.faults) for each in outcomes) + bool(unexpected)


def _row(outcome: Outcome) -> list[str]:
    slowest = f"{max(outcome.good_seconds, default=0):.1f} s"
    faults = "; ".join(outcome.faults) or "held"
    return [outcome.name, str(len(outcome.good_seconds)), slowest, f"{outcome.mib:+.0f} MiB", faults]


def _until_it_works(action: Callable[[], bool]) -> None:
    end = time.monotonic() + FAR
    while not action():
        if time.monotonic() > end:
            raise AssertionError(f"a good client was not served within {FAR:g} s")
        time.sleep(0.5)


def _posted(target: Target, key: str) -> bool:
    try:
        answer = httpx.post(
            f"{target.url}/v1/predictions", content=SAMPLE.read_bytes(), timeout=FAR, headers=_upload(key)
        )
    except httpx.TransportError:  # evicted in a flood: a client tries again
        return False
    if answer.status_code not in (200, 503):
        raise AssertionError(f"expected 200 or 503 for a good client, got {answer.status_code}: {answer.text[:200]}")
    return answer.status_code == 200


def _echoed(port: int) -> bool:
    return dcmtk("echoscu", port).returncode == 0


def _timed(action: Callable[[], None]) -> float:
    start = time.monotonic()
    action()
    return time.monotonic() - start


def _head(method: str, path: str, key: str, more: str = "X: x") -> bytes:
    kind = "Content-Type: application/json" if "worklist" in path else "Content-Type: application/dicom"
    lines = (f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {key}", kind, more, "", "")
    return "\r\n".join(lines).encode()


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _upload(key: str) -> dict[str, str]:
    return _bearer(key) | {"Content-Type": "application/dicom"}


def _key(variables: dict[str, str], name: str) -> str:
    scopes = ["read", "predict"] if name == "good" else [name]
    command = [TRIAGE, "keys", "add", name, *(word for scope in scopes for word in ("--scope", scope))]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    return next(word for word in done.stdout.split() if word.startswith("triage_"))


def _sent(connection: socket.socket, data: bytes) -> bool:
    """Send something; return False if the connection is closed."""
    try:
        connection.setblocking(False)
        connection.send(data)
        if connection.recv(2**16):
            return True
    except BlockingIOError:
        return True
    except OSError:
        pass
    connection.close()
    return False


def _ended_is_fine() -> AbstractContextManager[object]:
    return suppress(ConnectionError, httpx.TransportError)


if __name__ == "__main__":
    sys.exit(main())
