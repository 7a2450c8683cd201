"""The objects of a prediction over HTTP, read by independent tools."""

import json
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from service.errors import DecodeTimeout
from service.objects.kinds import DICOM_KINDS, Kind
from service.prediction import decoder_settings
from service.prediction.cage import libraries
from service.prediction.decoders import Decoders
from service.storage.records import Records
from tests.conftest import ROOT
from tests.factories import dicom_bytes, noise
from tests.service.objects.rendered import errors
from tests.service.serving import Client, serving, settings_for


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def client(artefact: Path, folder: Path) -> Iterator[Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder_settings, "libraries", lambda: (*libraries(), ROOT))  # for `_fail`
        with serving(settings_for(artefact, folder)) as client:
            yield client


@pytest.fixture(scope="module")
def data() -> bytes:
    return dicom_bytes(noise(300, 260), ViewPosition=None)


@pytest.fixture(scope="module")
def answer(client: Client, data: bytes) -> dict:
    return dict(client.post(data).json())


@pytest.mark.parametrize("kind", Kind)
def test_a_link_returns_the_same_object_each_time(client: Client, answer: dict, kind: str) -> None:
    link = answer["links"][kind]
    first, second = client.get(link), client.get(link)

    assert first.status_code == 200
    others = {
        "fhir": "application/fhir+json",
        "hl7": "x-application/hl7-v2+er7",
        "notification": "application/json",
    }
    assert first.headers["content-type"] == others.get(kind, "application/dicom")
    assert first.content == second.content
    assert client.get(link, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    assert b"view_position_missing" in first.content


@pytest.mark.parametrize("kind", DICOM_KINDS)
def test_a_validator_reports_no_errors_beyond_those_of_the_source(
    client: Client, answer: dict, data: bytes, tmp_path: Path, kind: str
) -> None:
    assert errors(client.get(answer["links"][kind]).content, tmp_path) <= errors(data, tmp_path)


def test_sr_and_fhir_agree_with_the_answer(client: Client, answer: dict) -> None:
    bundle = json.loads(client.get(answer["links"]["fhir"]).content)
    document = dcmread(BytesIO(client.get(answer["links"]["sr"]).content))

    probabilities = [
        part["valueQuantity"]["value"]
        for entry in bundle["entry"]
        for part in entry["resource"].get("component", [])
        if part["code"]["text"] == "Probability"
    ]
    assert probabilities == [pytest.approx(100 * finding["probability"], abs=1e-4) for finding in answer["findings"]]
    (corners,) = [list(item.GraphicData) for item in _tree(document) if "GraphicData" in item]
    x0, y0, x1, y1 = answer["box"]
    assert corners == [x0, y0, x1, y0, x1, y1, x0, y1, x0, y0]
    assert document.StudyInstanceUID == answer["study_instance_uid"]


def test_objects_of_an_unknown_prediction_are_404(client: Client) -> None:
    for name in (*(f"{kind}.dcm" for kind in DICOM_KINDS), "fhir.json", "hl7.hl7"):
        assert client.get(f"/v1/predictions/{'0' * 32}/{name}").status_code == 404


def test_an_overloaded_service_makes_no_object(client: Client, answer: dict) -> None:
    with client.pipeline.places.spare(10**6):
        response = client.get(answer["links"]["sr"])

    assert (response.status_code, response.json()["code"]) == (503, "overloaded")


@pytest.fixture
def unmade(folder: Path) -> None:
    """Delete the objects that other tests have made."""
    shutil.rmtree(folder / "objects", ignore_errors=True)


@pytest.mark.usefixtures("unmade")
def test_a_failure_to_make_an_object_is_400_and_quotes_no_value(
    client: Client, answer: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Decoders.derive

    async def derive(decoders: Decoders, data: bytes, _: object) -> bytes:
        return await run(decoders, data, _fail)

    monkeypatch.setattr(Decoders, "derive", derive)
    response = client.get(answer["links"]["sr"])

    assert (response.status_code, response.json()["code"]) == (400, "value_invalid")
    assert "Tweety" not in response.text


@pytest.mark.usefixtures("unmade")
def test_an_object_that_takes_too_long_is_503_not_a_fault_of_the_file(
    client: Client, answer: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(*_: object) -> bytes:
        raise DecodeTimeout("late")

    monkeypatch.setattr(Decoders, "_run", late)
    for link in ("segmentation", "overlay"):
        response = client.get(answer["links"][link])

        assert (response.status_code, response.json()["code"]) == (503, "rendering_timeout")
        assert int(response.headers["Retry-After"]) > 0


def _fail(dataset: object, _view: object) -> bytes:
    raise ValueError(f"Tweety {dataset}")


def _tree(dataset: object) -> list:
    inner = [item for element in dataset if element.VR == "SQ" for item in element.value]  # type: ignore[attr-defined]
    return [dataset, *(nested for item in inner for nested in _tree(item))]


@pytest.mark.parametrize("path", ["overlay.png", "pixels", "maps.json", "sr.dcm", "fhir.json", "hl7.hl7"])
def test_a_request_reads_the_record_once(
    client: Client, answer: dict, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    get = Records.get
    monkeypatch.setattr(Records, "get", lambda self, id: reads.append(id) or get(self, id))

    assert client.get(f"/v1/predictions/{answer['id']}/{path}").status_code == 200

    assert reads == [answer["id"]]
