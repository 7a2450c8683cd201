"""Orthanc as an independent PACS: it sends radiographs to the service, and receives the objects made from them."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from PIL import Image

from service.objects.kinds import DICOM_KINDS
from tests.factories import dicom_bytes, noise
from tests.pacs.orthanc import Orthanc, Ports, free_ports, orthanc
from tests.service.dimse.serving import Process, acceptor, environment, service

OBJECTS = {"SR", "SEG", "OT", "PR"}  # Modality of each object; OT is Secondary Capture


@dataclass(frozen=True)
class Hospital:
    """The PACS, the REST service and the C-STORE acceptor."""

    pacs: Orthanc
    http: httpx.Client
    dimse: Process

    def record(self, uid: str) -> dict[str, Any]:
        """Return the only record of an instance."""
        items = self.http.get("/v1/predictions", params={"limit": 500}).json()["items"]
        [record] = [item for item in items if item["sop_instance_uid"] == uid]
        return dict(record)

    def sent(self, id: str, destination: str) -> list[dict[str, Any]]:
        """Wait until no object is waiting for a destination, and return the sends."""
        return wait_for_end(self.http, id, destination)


def wait_for_end(http: httpx.Client, id: str, destination: str) -> list[dict[str, Any]]:
    """Wait until no object of the prediction is waiting for the destination, and return the sends."""
    deadline = time.monotonic() + 120
    while True:
        items = http.get(f"/v1/predictions/{id}/sends").json()["items"]
        sends = [item for item in items if item["destination"] == destination]
        if sends and all(item["state"] != "waiting" for item in sends):
            return sends
        assert time.monotonic() < deadline, sends
        time.sleep(0.1)


def destinations(ports: Ports) -> dict[str, str]:
    """Return settings that name the PACS as two destinations, one for each protocol."""
    dimse = {"name": "dimse", "host": "127.0.0.1", "port": ports.dicom, "ae_title": "ORTHANC"}
    web = {"name": "web", "url": f"http://127.0.0.1:{ports.http}/dicom-web"}
    return {"TRIAGE_SENDING__DESTINATIONS": json.dumps([dimse, web]), "TRIAGE_SENDING__PAUSE_SECONDS": "0.5"}


@pytest.fixture(scope="module")
def hospital(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    folder, ports = tmp_path_factory.mktemp("hospital"), free_ports()
    variables = environment(artefact, folder, **destinations(ports))
    with (
        orthanc(folder / "orthanc", ports) as pacs,
        service(variables, folder / "service.log") as http,
        acceptor(variables, http.address, folder / "log") as dimse,
        httpx.Client(base_url=http.address, timeout=60) as client,
    ):
        pacs.configure(http.address, dimse.port)
        yield Hospital(pacs, client, dimse)


def file(number: int, **elements: Any) -> bytes:
    """Return a radiograph in a study of its own."""
    uids = {"StudyInstanceUID": f"2.25.80{number}", "SOPInstanceUID": f"2.25.81{number}"}
    return dicom_bytes(noise(seed=number), **uids, **elements)


def test_orthanc_verifies_the_acceptor_by_c_echo(hospital: Hospital) -> None:
    hospital.pacs.request("POST", "/modalities/triage/echo", content="{}")


def test_orthanc_sends_by_c_store(hospital: Hospital) -> None:
    id = hospital.pacs.upload(file(1))

    result = hospital.pacs.request("POST", "/modalities/triage/store", json={"Resources": [id], "Synchronous": True})

    assert (result["InstancesCount"], result["FailedInstancesCount"]) == (1, 0)
    assert hospital.record("2.25.811")["study_instance_uid"] == "2.25.801"


def test_orthanc_sends_by_stow_rs(hospital: Hospital) -> None:
    id = hospital.pacs.upload(file(2))

    hospital.pacs.request("POST", "/dicom-web/servers/triage/stow", json={"Resources": [id], "Synchronous": True})

    assert hospital.record("2.25.812")["study_instance_uid"] == "2.25.802"


def test_orthanc_reports_and_keeps_an_instance_that_is_refused(hospital: Hospital) -> None:
    id = hospital.pacs.upload(file(3, ViewPosition="LL"))

    refused = hospital.pacs.http.post("/modalities/triage/store", json={"Resources": [id], "Synchronous": True})

    assert refused.status_code != 200
    assert hospital.pacs.http.get(f"/instances/{id}").status_code == 200
    assert "view_unsuitable" in hospital.dimse.log.read_text()


@pytest.mark.parametrize(("number", "destination"), [(4, "dimse"), (5, "web")])
def test_orthanc_stores_lists_and_renders_the_objects(hospital: Hospital, number: int, destination: str) -> None:
    study = f"2.25.80{number}"
    source = hospital.pacs.upload(file(number))
    hospital.pacs.request("POST", "/modalities/triage/store", json={"Resources": [source], "Synchronous": True})
    id = hospital.record(f"2.25.81{number}")["id"]

    ordered = hospital.http.post(f"/v1/predictions/{id}/send", json={"destination": destination})
    items = hospital.sent(id, destination)

    assert ordered.status_code == 202
    assert [(item["state"], item["error"]) for item in items] == [("sent", None)] * len(DICOM_KINDS)
    stored = hospital.pacs.instances(study)
    assert set(stored) == OBJECTS | {"DX"}
    listed = hospital.pacs.request("GET", f"/dicom-web/studies/{study}/series")
    assert {series["00080060"]["Value"][0] for series in listed} == OBJECTS | {"DX"}
    capture = stored_file(hospital.pacs, stored["OT"])
    assert capture.Rows > 256  # the legend is below the radiograph
    for modality, rows in (("OT", capture.Rows), ("SEG", 256)):
        assert picture(hospital.pacs, f"/instances/{stored[modality]}/preview").size == (256, rows)
    path = f"/dicom-web/studies/{study}/series/{capture.SeriesInstanceUID}/instances/{capture.SOPInstanceUID}"
    assert picture(hospital.pacs, f"{path}/rendered").size == (256, capture.Rows)
    report = hospital.http.get(f"/v1/predictions/{id}/sr.dcm").content
    assert stored_file(hospital.pacs, stored["SR"]) == pydicom.dcmread(BytesIO(report))


def picture(pacs: Orthanc, path: str) -> Image.Image:
    answer = pacs.http.get(path, headers={"Accept": "image/jpeg" if "rendered" in path else "image/png"})
    assert answer.status_code == 200, answer.text
    return Image.open(BytesIO(answer.content))


def stored_file(pacs: Orthanc, id: str) -> pydicom.Dataset:
    return pydicom.dcmread(BytesIO(pacs.http.get(f"/instances/{id}/file").content))


def test_objects_arrive_although_the_pacs_was_down_and_the_service_was_killed(artefact: Path, tmp_path: Path) -> None:
    ports = free_ports()
    variables = environment(artefact, tmp_path, **destinations(ports), TRIAGE_SENDING__SEND_ALL='["dimse"]')
    with service(variables, tmp_path / "log") as first, httpx.Client(base_url=first.address, timeout=60) as http:
        answer = http.post("/v1/predictions", content=file(6), headers={"Content-Type": "application/dicom"})
        id = answer.json()["id"]
        deadline = time.monotonic() + 60
        while not any(item["error"] for item in http.get(f"/v1/predictions/{id}/sends").json()["items"]):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        first.process.kill()
        first.process.wait(30)

    with (
        orthanc(tmp_path / "orthanc", ports) as pacs,
        service(variables, tmp_path / "log") as second,
        httpx.Client(base_url=second.address, timeout=60) as http,
    ):
        wait_for_end(http, id, "dimse")
        assert set(pacs.instances("2.25.806")) == OBJECTS
    assert "Canary" not in (tmp_path / "log").read_text()
