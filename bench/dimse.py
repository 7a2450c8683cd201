"""Send many instances by C-STORE and check that none is lost, none is stored twice, and memory stays flat.

    python -m bench.dimse --instances 10000 --associations 4

This starts `triage serve` and `triage dimse` on free ports with the artefact that ships, sends radiographs from several
processes and counts the records. It prints the rate, and the resident memory of both at the start and after each fifth
of the instances. Memory may grow in the first fifths, while caches fill; growth in the last ones is a leak.
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
    """Run the measurement; the exit status is 1 if an instance was lost, stored twice or not acknowledged."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--instances", type=int, default=10_000, help="radiographs to send")
    parser.add_argument("--associations", type=int, default=4, help="parallel senders")
    parser.add_argument("--side", type=int, default=256, help="rows and columns of each radiograph")
    parser.add_argument("--artefact", type=Path, help="ONNX file to use instead of the artefact that ships")
    parser.add_argument("--folder", type=Path, help="parent of the temporary folder for records and instances")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        results = measure(options, Path(folder))
    sys.stdout.write(json.dumps(results, indent=2) + "\n")
    sys.exit(0 if results["lost"] == results["twice"] == results["not_acknowledged"] == 0 else 1)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Send all instances, one fifth after another over new associations, and count the records."""
    ports = ("HTTP__PORT", "METRICS__PORT", "METRICS__DIMSE_PORT", "DIMSE__PORT")
    environment = {f"TRIAGE_{name}": "0" for name in ports} | {"TRIAGE_STORAGE__FOLDER": str(folder / "data")}
    environment |= {"TRIAGE_MODEL__PATH": str(options.artefact)} if options.artefact else {}
    with started("serve", environment, folder) as (serve, serve_line):
        address = next(word for word in serve_line.split() if word.startswith("http://"))
        wait_until_ready(address)
        environment["TRIAGE_DIMSE__SERVICE_URL"] = address
        with started("dimse", environment, folder) as (dimse, dimse_line):
            port = int(dimse_line.split()[-1])
            warm_up = options.associations * 8
            acknowledged = send(port, options, range(warm_up))
            memory = [resident(serve, dimse)]
            start = time.perf_counter()
            bounds = [warm_up + (options.instances - warm_up) * fifth // 5 for fifth in range(6)]
            for first, end in pairwise(bounds):
                acknowledged += send(port, options, range(first, end))
                memory.append(resident(serve, dimse))
            seconds = time.perf_counter() - start
            uids = list(records(address))
    return {
        "instances": options.instances,
        "associations": options.associations,
        "not_acknowledged": options.instances - acknowledged,
        "lost": options.instances - len(set(uids)),
        "twice": len(uids) - len(set(uids)),
        "instances_per_second": round((options.instances - warm_up) / seconds, 1),
        "resident_MiB": {name: [sample[name] for sample in memory] for name in memory[0]},
    }


def send(port: int, options: argparse.Namespace, numbers: range) -> int:
    """Send the numbered instances, spread over the associations; return how many were acknowledged."""
    parts = [(port, options.side, numbers[first :: options.associations]) for first in range(options.associations)]
    with multiprocessing.get_context("spawn").Pool(options.associations) as pool:
        return sum(pool.starmap(send_part, parts))


def send_part(port: int, side: int, numbers: range) -> int:
    """Send over one association and return how many were acknowledged; retry after A700, as a PACS does."""
    radiograph = template(side)
    ae = AE("BENCH")
    ae.maximum_pdu_size = 0
    ae.add_requested_context(radiograph.SOPClassUID, radiograph.file_meta.TransferSyntaxUID)
    association = ae.associate("127.0.0.1", port, ae_title="TRIAGE")
    acknowledged = 0
    for number in numbers:
        pixels = np.random.default_rng(number).integers(0, 4096, (side, side), dtype=np.uint16)
        radiograph.PixelData = pixels.tobytes()
        radiograph.SOPInstanceUID = radiograph.file_meta.MediaStorageSOPInstanceUID = f"2.25.{number + 1}"
        while (status := association.send_c_store(radiograph).get("Status")) in (0xA700, None):
            time.sleep(0.5)
            if status is None:  # no answer in time: send the same file again over a new association
                print(f"no answer to {number}", file=sys.stderr, flush=True)
                association.abort()
                association = ae.associate("127.0.0.1", port, ae_title="TRIAGE")
        acknowledged += status == 0
    association.release()
    return acknowledged


def template(side: int) -> pydicom.Dataset:
    """Return a sample's data set, set to `side` rows and columns of 12 bits, without its pixels."""
    dataset = pydicom.dcmread(BytesIO(SAMPLE.read_bytes()))
    dataset.Rows = dataset.Columns = side
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OW", False
    return dataset


def records(address: str) -> Iterator[str]:
    """Iterate over the SOP Instance UIDs of all records."""
    cursor: dict[str, str] = {}
    with httpx.Client(base_url=address, timeout=60) as http:
        while True:
            page = http.get("/v1/predictions", params={"limit": 500} | cursor).json()
            yield from (item["sop_instance_uid"] for item in page["items"])
            if page["next"] is None:
                return
            cursor = {"cursor": page["next"]}


def resident(*processes: subprocess.Popen[str]) -> dict[str, int]:
    """Return the resident memory of `serve` and `dimse`, in MiB."""
    return {name: _resident(process.pid) for name, process in zip(("serve", "dimse"), processes, strict=True)}


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024


@contextmanager
def started(command: str, variables: dict[str, str], folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a `triage` command; yield its process and the first line that it prints."""
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
    """Wait until the service is ready."""
    deadline = time.monotonic() + _SECONDS_TO_START
    while httpx.get(f"{address}/readyz", timeout=60).status_code != httpx.codes.OK:
        if time.monotonic() > deadline:
            sys.exit("the service did not become ready")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
