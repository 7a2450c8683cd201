"""C-STORE and STOW-RS beside Orthanc, which predicts nothing: `python -m bench.speed.archive`."""

import itertools
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import httpx

from bench.scores import table
from bench.speed.client import Connection, Request
from bench.speed.figure import Figure, Report, number, ratio
from bench.speed.films import Film, in_turn
from bench.speed.section import Results, Run, Section
from service.dicom.gate import MIN_SIDE
from service.settings import SHIPPED_ARTEFACT
from tests.pacs.orthanc import Orthanc, free_ports, orthanc
from tests.service.dimse.serving import acceptor, environment, tool

SENDERS = 4
MIXES = {  # transfer syntaxes of the files, in turn
    "uncompressed": ("uncompressed",),
    "mixed": ("uncompressed", "JPEG-LS", "uncompressed", "JPEG 2000"),
}
PROTOCOLS = ("C-STORE", "STOW-RS")
ARCHIVES = ("Orthanc", "the service")
_BOUNDARY = b"boundary-of-parts"
_MEDIA_TYPE = f'multipart/related; type="application/dicom"; boundary={_BOUNDARY.decode()}'


@dataclass(frozen=True)
class Archive:
    """Where files are sent: DICOM port and AE title, STOW-RS address, and the number of instances that it holds."""

    port: int
    title: str
    address: str
    stow: str
    count: Callable[[], int]


def measure(run: Run) -> None:
    shapes = [
        tuple(max(MIN_SIDE, side * part // 6) for side in (run.size.height, run.size.width)) for part in (6, 4, 3)
    ]
    with _orthanc(run) as theirs, _service(run) as ours:
        for mix, syntaxes in MIXES.items():
            films = [film for shape in shapes for film in run.films(syntaxes, *shape)]
            for name, archive in zip(ARCHIVES, (theirs, ours), strict=True):
                for protocol, send in (("C-STORE", c_store), ("STOW-RS", stow)):
                    run.kept.once(key(mix, protocol, name), partial(_timed, send, archive, films, run))


def key(mix: str, protocol: str, archive: str) -> str:
    """Return the key of a row."""
    return f"{mix}, {protocol}, {archive}"


def c_store(archive: Archive, films: list[Film], run: Run) -> float:
    """Send by DCMTK's dcmsend from files on disk over several associations; return the seconds."""
    copies = itertools.islice(in_turn(films), run.size.files)
    folders = [run.folder / f"sender-{place}" for place in range(SENDERS)]
    for folder in folders:
        folder.mkdir()
    for place, parts in enumerate(copies):
        (folders[place % SENDERS] / f"{place}.dcm").write_bytes(b"".join(parts))
    program = [tool("dcmsend"), "-dn", "-aec", archive.title, "+sd", "127.0.0.1", str(archive.port)]
    start = time.perf_counter()
    senders = [
        subprocess.Popen([*program, str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for folder in folders
    ]
    outputs = [(sender.communicate()[1], sender.returncode) for sender in senders]
    seconds = time.perf_counter() - start
    for folder in folders:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    for output, status in outputs:
        assert status == 0, output
    return seconds


def stow(archive: Archive, films: list[Film], run: Run) -> float:
    """Send by STOW-RS, one file a request, from several clients; return the seconds."""
    requests = [_store_request(archive, parts) for parts in itertools.islice(in_turn(films), run.size.files)]
    start = time.perf_counter()
    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(partial(_store, archive), requests))
    return time.perf_counter() - start


def report(results: Results) -> Report:
    rows = results.get("archive", {})
    head = ["files a second", *ARCHIVES, "the service over Orthanc"]
    lines = [
        [f"{protocol}, {mix} files", *(_cell(rows.get(key(mix, protocol, each))) for each in ARCHIVES), _cell(share)]
        for mix in MIXES
        for protocol in PROTOCOLS
        for share in [_share(results, mix, protocol)]
    ]
    figures = [
        Figure(f"{protocol}, {mix} files, over Orthanc storing the same", "≥", 0.6, _share(results, mix, protocol))
        for mix in MIXES
        for protocol in PROTOCOLS
    ]
    text = f"""{SENDERS} associations of DCMTK's dcmsend, or {SENDERS} STOW-RS clients with one file a request; films
of three sizes, the largest as above, the smallest half its height and width. Orthanc syncs what it stores (its
default) and decodes nothing; the service predicts each file before it acknowledges it. Of the mixed files a quarter
each is JPEG-LS and JPEG 2000, so the difference between the rows is what decoding costs.

{table([head, *lines])}"""
    return Report(text, figures)


@contextmanager
def _orthanc(run: Run) -> Iterator[Archive]:
    ports = free_ports()
    with orthanc(run.folder / "orthanc", ports) as pacs:
        yield Archive(
            *(ports.dicom, "ORTHANC", f"http://127.0.0.1:{ports.http}", "/dicom-web/studies", partial(_held, pacs))
        )


@contextmanager
def _service(run: Run) -> Iterator[Archive]:
    with acceptor(environment(SHIPPED_ARTEFACT, run.folder), run.address, run.folder / "dimse.log") as dimse:
        yield Archive(dimse.port, "TRIAGE", run.address, "/dicom-web/studies", partial(_stored, run.address))


def _timed(send: Callable[[Archive, list[Film], Run], float], archive: Archive, films: list[Film], run: Run) -> float:
    """Return the files a second of one sending, once all of them are known to be stored."""
    before = archive.count()
    seconds = send(archive, films, run)
    stored = archive.count() - before
    if stored != run.size.files:
        raise RuntimeError(f"{archive.title}: expected {run.size.files} new instances, got {stored}")
    return run.size.files / seconds


def _held(pacs: Orthanc) -> int:
    return int(pacs.request("GET", "/statistics")["CountInstances"])


def _stored(address: str) -> int:
    count = 0
    cursor: dict[str, str] = {}
    with httpx.Client(base_url=address, timeout=60) as http:  # anew, as the service closes a connection that is idle
        while True:
            page = http.get("/v1/predictions", params={"limit": "500"} | cursor).raise_for_status().json()
            count += len(page["items"])
            if page["next"] is None:
                return count
            cursor = {"cursor": page["next"]}


def _store_request(archive: Archive, parts: tuple[bytes, memoryview]) -> Request:
    before = b"--" + _BOUNDARY + b"\r\nContent-Type: application/dicom\r\n\r\n"
    after = b"\r\n--" + _BOUNDARY + b"--\r\n"
    return Request(archive.stow, _MEDIA_TYPE, [before, *parts, after], "application/dicom+json")


def _store(archive: Archive, request: Request) -> None:
    with Connection(archive.address) as connection:
        answer = connection.post(request)
    if answer.status != 200:
        raise RuntimeError(f"{archive.title}: expected 200, got {answer.status}: {answer.body[:300]!r}")


def _share(results: Results, mix: str, protocol: str) -> float | None:
    theirs, ours = (results.get("archive", {}).get(key(mix, protocol, archive)) for archive in ARCHIVES)
    return ratio(ours, theirs)


def _cell(value: float | None) -> str:
    return "" if value is None else number(value)


SECTION = Section("archive", "C-STORE and STOW-RS beside Orthanc", measure, report, served=True)

if __name__ == "__main__":
    from bench.speed.command import main

    main("archive")
