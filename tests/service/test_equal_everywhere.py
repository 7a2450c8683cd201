"""A name and a UID that need care are the same in the worklist, in searches and in every object."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from tests.factories import dicom_bytes, noise
from tests.service.serving import Client, serving, settings_for

NAME = "Zhang^XiaoDong=张^小东"
ENCODED = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab= "  # PS3.5 annex K
STUDY, SERIES, INSTANCE = "1.2.0840.7", "1.2.0840.7.01", "1.2.0840.7.02"
JSON = {"Accept": "application/dicom+json"}

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR UI")


def chinese() -> bytes:
    elements = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES, "SOPInstanceUID": INSTANCE}
    stand_in = "@" * len(ENCODED)  # pydicom cannot write this character set
    data = dicom_bytes(noise(), PatientName=stand_in, SpecificCharacterSet=["", "ISO 2022 IR 58"], **elements)
    return data.replace(stand_in.encode(), ENCODED)


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(settings_for(artefact, tmp_path_factory.mktemp("data"))) as client:
        yield client


@pytest.fixture(scope="module")
def id(client: Client) -> str:
    answer = client.post(chinese())
    assert answer.status_code == 200, answer.text
    assert "uid_leading_zero" in answer.json()["flags"]
    assert client.post(chinese()).json()["id"] == answer.json()["id"]
    return str(answer.json()["id"])


def referred(dataset: Dataset) -> set[str]:
    uids = {str(dataset.ReferencedSOPInstanceUID)} if "ReferencedSOPInstanceUID" in dataset else set()
    return uids.union(*(referred(item) for element in dataset if element.VR == "SQ" for item in element.value))


def test_the_worklist(client: Client, id: str) -> None:
    (entry,) = client.request("POST", "/v1/worklist/search", json={"q": "小东"}).json()["items"]
    assert (entry["id"], entry["patient"]["name"]) == (id, NAME)


@pytest.mark.usefixtures("id")
@pytest.mark.parametrize("query", [{"PatientName": "*张*"}, {"StudyInstanceUID": STUDY}])
def test_a_search(client: Client, query: dict[str, str]) -> None:
    (study,) = client.get("/dicom-web/studies", params=query, headers=JSON).json()
    assert study["00100010"]["Value"] == [{"Alphabetic": "Zhang^XiaoDong", "Ideographic": "张^小东"}]
    assert study["0020000D"]["Value"] == [STUDY]


@pytest.mark.usefixtures("id")
def test_retrieving(client: Client) -> None:
    path = f"/dicom-web/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}"
    assert ENCODED in client.get(path, headers={"Accept": "application/dicom"}).content
    (metadata,) = client.get(f"{path}/metadata", headers=JSON).json()
    assert metadata["00080018"]["Value"] == [INSTANCE]
    assert metadata["00100010"]["Value"] == [{"Alphabetic": "Zhang^XiaoDong", "Ideographic": "张^小东"}]
    assert client.get(f"{path}/rendered", headers={"Accept": "image/png"}).status_code == 200


@pytest.mark.parametrize("file", ["sr.dcm", "segmentation.dcm", "secondary_capture.dcm", "presentation_state.dcm"])
def test_objects(client: Client, id: str, file: str) -> None:
    made = dcmread(BytesIO(client.get(f"/v1/predictions/{id}/{file}").content))
    assert (made.PatientName, made.StudyInstanceUID) == (NAME, STUDY)
    assert INSTANCE in referred(made)


def test_fhir(client: Client, id: str) -> None:
    """It names nobody: the patient is a reference, the study a UID."""
    text = client.get(f"/v1/predictions/{id}/fhir.json").text
    assert f"urn:oid:{STUDY}" in text
    assert "$)A" not in text


def test_another_uid_than_announced_is_refused(client: Client) -> None:
    headers = {"Content-Type": "application/dicom", "X-Sop-Instance-Uid": "1.2.3"}
    answer = client.request("POST", "/v1/predictions", content=dicom_bytes(noise()), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "instance_mismatch")
