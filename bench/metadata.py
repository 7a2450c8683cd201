"""Time of a study's metadata, beside Orthanc's on the same study: `python -m bench.metadata [PIXELS]`.

The radiograph has PIXELS x PIXELS random values of 12 bits. The first request makes the objects of the service; the
median of the others is compared. Expected is a ratio of at most 2.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx

from service.objects.kinds import DICOM_KINDS
from service.settings import SHIPPED_ARTEFACT
from tests.factories import STUDY, dicom_bytes, noise
from tests.pacs.orthanc import free_ports, orthanc
from tests.service.dimse.serving import environment, service

REPEATS = 20


def seconds(http: httpx.Client) -> list[float]:
    """Request the metadata `REPEATS` times, after a first time; return the seconds of each."""
    spent = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        answer = http.get(f"/dicom-web/studies/{STUDY}/metadata", headers={"Accept": "application/dicom+json"})
        spent.append(time.perf_counter() - start)
        assert answer.status_code == 200, answer.text
        assert len(json.loads(answer.content)) == 1 + len(DICOM_KINDS)
    return spent


def main() -> None:
    """Store a radiograph in the service and, with the objects made from it, in Orthanc; print both times."""
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 2048
    folder, ports = Path(tempfile.mkdtemp()), free_ports()
    data = dicom_bytes(noise(size, size))
    with (
        orthanc(folder / "orthanc", ports) as pacs,
        service(environment(SHIPPED_ARTEFACT, folder), folder / "log") as running,
        httpx.Client(base_url=running.address, timeout=300) as http,
    ):
        answer = http.post("/v1/predictions", content=data, headers={"Content-Type": "application/dicom"})
        id = answer.json()["id"]
        first, *ours = seconds(http)
        pacs.upload(data)
        for kind in DICOM_KINDS:
            pacs.upload(http.get(f"/v1/predictions/{id}/{kind}.dcm").content)
        _, *theirs = seconds(pacs.http)
    mine, other = statistics.median(ours), statistics.median(theirs)
    print(f"{size} x {size}: service {1e3 * mine:.1f} ms (first {1e3 * first:.0f} ms), Orthanc {1e3 * other:.1f} ms")
    print(f"ratio {mine / other:.2f}")


if __name__ == "__main__":
    main()
