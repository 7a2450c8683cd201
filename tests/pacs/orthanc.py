"""Orthanc with its DICOMweb plug-in, process for a test (Debian: orthanc, orthanc-dicomweb)."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

import tests.ports

_PROGRAM = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@dataclass(frozen=True)
class Ports:
    """Two free ports."""

    http: int
    dicom: int


class Orthanc:
    """A client of Orthanc's REST interface."""

    def __init__(self, http: httpx.Client, ports: Ports) -> None:
        self.http, self.ports = http, ports

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Send a request that must be answered 200, and return the JSON of the answer."""
        answer = self.http.request(method, path, **options)
        assert answer.status_code == 200, (path, answer.text)
        return answer.json() if answer.content else None

    def configure(self, service: str, dimse: int) -> None:
        """Configure the service as a modality and a DICOMweb server, both named `triage`."""
        modality = {"AET": "TRIAGE", "Host": "127.0.0.1", "Port": dimse}
        assert self.http.put("/modalities/triage", json=modality).status_code == 200
        server = {"Url": f"{service}/dicom-web/"}
        assert self.http.put("/dicom-web/servers/triage", json=server).status_code == 200

    def upload(self, data: bytes) -> str:
        """Upload a file and return Orthanc's id of the instance."""
        return str(self.request("POST", "/instances", content=data)["ID"])

    def instances(self, uid: str) -> dict[str, str]:
        """Find the instances of a study; return Orthanc's id of each by its Modality."""
        query = {"Level": "Instance", "Query": {"StudyInstanceUID": uid}}
        ids = self.request("POST", "/tools/find", json=query)
        return {self.request("GET", f"/instances/{id}/simplified-tags")["Modality"]: id for id in ids}


def free_ports() -> Ports:
    """Find two ports that are not in use."""
    return Ports(*tests.ports.free_ports(2))


@contextmanager
def orthanc(folder: Path, ports: Ports) -> Iterator[Orthanc]:
    """Run an Orthanc that stores everything in `folder`."""
    if not (Path(_PROGRAM).exists() and _PLUGIN.exists()):
        pytest.skip("Orthanc is not installed; install Debian's packages orthanc and orthanc-dicomweb")
    folder.mkdir()
    (folder / "orthanc.json").write_text(json.dumps(_configuration(folder, ports)))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([_PROGRAM, str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{ports.http}", timeout=60) as http:
            _wait(http, process, folder / "log")
            yield Orthanc(http, ports)
    finally:
        process.terminate()
        process.wait(60)


def _wait(http: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if http.get("/dicom-web/servers").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def _configuration(folder: Path, ports: Ports) -> dict[str, Any]:
    return {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(_PLUGIN)],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "HttpPort": ports.http,
        "DicomPort": ports.dicom,
        "DicomAet": "ORTHANC",
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowStore": True,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
