"""Instances through C-STORE: none lost, none twice, memory flat.

    python -m bench.dimse --instances 10000 --associations 4

Starts `triage serve` and `triage dimse` on free ports with the artefact that ships, sends radiographs from processes of
its own, counts the records, and prints the rate and the resident memory of both at the start and after each fifth:
the first of these fill what either process keeps for good, the last ones tell whether it grows.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import httpx
import numpy as np
import pydicom
from pynetdicom import AE

TRIAGE = Path(sys.executable).with_name("triage")
SAMPLE = Path(__file__).parents[1] / "samples" / "pneumothorax.dcm"
_SECONDS_TO_START = 120


def main() -> None:
    """Run it; the exit status is 1 where an instance was lost or kept twice."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--associations", type=int, default=4)
    parser.add_argument("--side", type=int, default=256, help="rows and columns of a radiograph, 16 bits")
    parser.add_argument("--artefact", type=Path, help="instead of the one that ships")
    parser.add_argument("--folder", type=Path, help="where records and instances go; by default a temporary folder")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        found = measure(chosen, Path(folder))
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    sys.exit(0 if found["lost"] == found["twice"] == found["not_acknowledged"] == 0 else 1)


def measure(chosen: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Send all in fifths, each over associations of its own, and count."""
    environment = {"TRIAGE_HTTP__PORT": "0", "TRIAGE_DIMSE__PORT": "0", "TRIAGE_STORAGE__FOLDER": str(folder / "data")}
    environment |= {"TRIAGE_MODEL__PATH": str(chosen.artefact)} if chosen.artefact else {}
    with started("serve", environment, folder) as (serve, told):
        address = told.split()[3]
        wait_until_ready(address)
        environment["TRIAGE_DIMSE__SERVICE_URL"] = address
        with started("dimse", environment, folder) as (dimse, greeting):
            port = int(greeting.split()[-1])
            warm = chosen.associations * 8
            acknowledged = send(port, chosen, range(warm))
            memory = [resident(serve, dimse)]
            start = time.perf_counter()
            bounds = [warm + (chosen.instances - warm) * fifth // 5 for fifth in range(6)]
            for first, end in pairwise(bounds):
                acknowledged += send(port, chosen, range(first, end))
                memory.append(resident(serve, dimse))
            seconds = time.perf_counter() - start
            uids = list(records(address))
    return {
        "instances": chosen.instances,
        "associations": chosen.associations,
        "not_acknowledged": chosen.instances - acknowledged,
        "lost": chosen.instances - len(set(uids)),
        "twice": len(uids) - len(set(uids)),
        "instances_per_second": round((chosen.instances - warm) / seconds, 1),
        "resident_MiB": {name: [one[name] for one in memory] for name in memory[0]},
    }


def send(port: int, chosen: argparse.Namespace, numbers: range) -> int:
    """Send, each association its own part; how many were acknowledged."""
    parts = [(port, chosen.side, numbers[first :: chosen.associations]) for first in range(chosen.associations)]
    with multiprocessing.get_context("spawn").Pool(chosen.associations) as pool:
        return sum(pool.starmap(send_part, parts))


def send_part(port: int, side: int, numbers: range) -> int:
    """Send over one association; what is refused for now is sent again, as a PACS does."""
    radiograph = template(side)
    ae = AE("BENCH")
    ae.maximum_pdu_size = 0
    ae.add_requested_context(radiograph.SOPClassUID, radiograph.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", port, ae_title="TRIAGE")
    taken = 0
    for number in numbers:
        pixels = np.random.default_rng(number).integers(0, 4096, (side, side), dtype=np.uint16)
        radiograph.PixelData = pixels.tobytes()
        radiograph.SOPInstanceUID = radiograph.file_meta.MediaStorageSOPInstanceUID = f"2.25.{number + 1}"
        while (status := association.send_c_store(radiograph).get("Status")) in (0xA700, None):
            time.sleep(0.5)
            if status is None:  # no answer in time: another association, and the same file again
                print(f"no answer to {number}", file=sys.stderr, flush=True)
                association.abort()
                association = ae.associate("127.0.0.1", port, ae_title="TRIAGE")
        taken += status == 0
    association.release()
    return taken


def template(side: int) -> pydicom.Dataset:
    """A sample, of this size and in 12 bits."""
    dataset = pydicom.dcmread(BytesIO(SAMPLE.read_bytes()))
    dataset.Rows = dataset.Columns = side
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OW", False
    return dataset


def records(address: str) -> Iterator[str]:
    """Every record's SOP Instance UID."""
    cursor: dict[str, str] = {}
    with httpx.Client(base_url=address, timeout=60) as http:
        while True:
            page = http.get("/v1/predictions", params={"limit": 500} | cursor).json()
            yield from (item["sop_instance_uid"] for item in page["items"])
            if page["next"] is None:
                return
            cursor = {"cursor": page["next"]}


def resident(*processes: subprocess.Popen[str]) -> dict[str, int]:
    """Resident memory of `serve` and `dimse`, in MiB."""
    return {name: _resident(process.pid) for name, process in zip(("serve", "dimse"), processes, strict=True)}


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024


@contextmanager
def started(command: str, variables: dict[str, str], folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `triage`, and read the line it greets with."""
    with (folder / f"{command}.log").open("w") as log:
        process = subprocess.Popen(
            [TRIAGE, command], env=os.environ | variables, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        greeting = (process.stdout.readline() if process.stdout else "").split("(")[0].strip()
        if not greeting:
            sys.exit((folder / f"{command}.log").read_text())
        yield process, greeting
    finally:
        process.terminate()
        process.communicate()


def wait_until_ready(address: str) -> None:
    """Wait for the golden self-test."""
    until = time.monotonic() + _SECONDS_TO_START
    while httpx.get(f"{address}/readyz", timeout=60).status_code != httpx.codes.OK:
        if time.monotonic() > until:
            sys.exit("the service did not become ready")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
