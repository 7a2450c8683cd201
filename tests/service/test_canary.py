"""No value of a patient leaks into a log, header, URL, problem document or file outside the storage folder."""

import errno
import json
import os
import re
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from service import metrics, traces
from service.destinations import Destination, Sending
from service.http import events
from service.http.app import create_app
from service.http_settings import Http
from service.inference.session import Session
from service.prediction.decoders import Decoders
from service.prediction.pipeline import Pipeline
from service.prediction.stored import StoredPredictions
from service.settings import Limits, Settings
from service.storage.incoming import Incoming
from service.traces import Traces
from service.triage.rule import PRIORITIES
from tests.conftest import ROOT
from tests.service import planted
from tests.service.metered import text
from tests.service.sending.receiver import SECRET, Receiver, receiver
from tests.service.serving import Client, client_of, serving, settings_for
from tests.service.stub import stub

TRIAGE = Path(sys.executable).with_name("triage")
LIMITS = Limits(
    decode_workers=1,
    max_in_flight=4,
    max_file_bytes=2**20,
    max_body_bytes=3 * 2**20,
    max_files=5,
    max_pixels=2**18,
    requests_per_second=0,
)
HEADERS = ("Authorization", "Cookie", "Forwarded", "From", "Referer", "User-Agent", "X-Forwarded-For", "X-Request-Id")
PATIENT = dict.fromkeys(HEADERS, planted.DATE)

OBJECTS = ("application/dicom", "application/fhir+json", "x-application/hl7-v2+er7")
DICOM_WEB = ("application/dicom+json", "multipart/related", "application/dicom")


class Witness:
    """A client that examines every response for planted values."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        response = self.client.request(method, path, **options)
        examine(response)
        return response

    def post(self, data: bytes, media_type: str = "application/dicom") -> httpx.Response:
        headers = PATIENT | {"Content-Type": media_type}
        return self.request("POST", "/v1/predictions", content=data, headers=headers)

    def post_files(self, *files: tuple[str, bytes]) -> httpx.Response:
        return self.request("POST", "/v1/predictions", files=[("file", file) for file in files])

    def refused(self, data: bytes, status: int, code: str) -> None:
        response = self.post(data)
        assert (response.status_code, response.json()["code"]) == (status, code)


def examine(response: httpx.Response) -> None:
    for name, value in response.headers.multi_items():
        if name == "x-pixels":  # its numbers may be anything; its texts must not come from the file
            assert not planted.in_text(json.dumps(strings(json.loads(value))))
        else:
            assert not planted.in_text(f"{name}: {value}")
    kind, path = response.headers.get("content-type", ""), response.request.url.path
    is_worklist = path.startswith("/v1/worklist") or response.request.method == "PATCH"
    if kind == "image/png":
        assert {name for name, _ in chunks(response.content)} <= {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
    elif kind == "application/json" and response.content and is_worklist:
        assert not planted.in_worklist(response.json())
    elif kind == "application/json" and response.content:
        assert not planted.in_answer(response.json())
        for item in response.json() if isinstance(response.json(), list) else []:
            assert not planted.in_text(json.dumps(item.get("problem")))
    elif response.request.url.path.startswith("/dicom-web/") and kind.partition(";")[0] in DICOM_WEB:
        assert response.status_code in (200, 202, 409)  # may name patient and study
        if response.request.method == "POST":
            assert not planted.SECRET.search(response.content)
    elif kind == "image/jpeg":
        assert not planted.in_text(response.content)
    elif kind in OBJECTS:  # may name patient and study
        assert response.status_code == 200
        assert re.fullmatch(r"/v1/predictions/[0-9a-f]{32}/\w+\.(dcm|json|hl7)", response.request.url.path)
    elif kind.startswith("text/csv"):
        assert not planted.in_table(response.text)
    else:  # a problem document, page, event stream or pixels
        assert not planted.in_text(response.content)


def strings(value: object) -> list[str]:
    """Return every text in a JSON document."""
    if isinstance(value, dict):
        return [text for item in value.items() for part in item for text in strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in strings(part)]
    return [value] if isinstance(value, str) else []


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 8
    while position < len(png):
        (length,) = struct.unpack_from(">L", png, position)
        yield png[position + 4 : position + 8], png[position + 8 : position + 8 + length]
        position += 12 + length


@pytest.fixture(scope="module")
def witness(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    """Run one service for all tests; at the end its folders are searched for planted values."""
    folder = tmp_path_factory.mktemp("service")
    with pytest.MonkeyPatch.context() as patch:
        (folder / "temporary").mkdir()
        patch.setenv("TMPDIR", str(folder / "temporary"))
        patch.setattr(tempfile, "tempdir", str(folder / "temporary"))
        spans, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(spans))
        patch.setattr(traces, "from_environment", lambda: Traces(provider))
        with receiver() as pager, serving(alerting(settings_for(artefact, folder / "data", LIMITS), pager)) as client:
            yield Witness(client)
            examine_notifications(pager, client)
            measured = text(client.app.state.collectors)
    assert "triage_unread" in measured
    assert not planted.in_text(measured)
    assert len(spans.get_finished_spans()) > 100
    assert not planted.in_text("".join(span.to_json() for span in spans.get_finished_spans()))
    assert not planted.in_files(folder, folder / "data")


def alerting(settings: Settings, pager: Receiver) -> Settings:
    """Add a webhook that is told of every radiograph."""
    secret_file = settings.storage.folder.parent / "secret"
    secret_file.write_text(SECRET)
    keys = {"url": pager.url, "secret_file": secret_file, "priorities": PRIORITIES, "repeat_seconds": None}
    destination = Destination(name="pager", protocol="webhook", viewer_url="https://triage.example/#/{id}", **keys)
    sending = Sending(destinations=(destination,), send_all=("pager",), pause_seconds=0.1)
    return settings.model_copy(update={"sending": sending})


def examine_notifications(pager: Receiver, client: Client) -> None:
    """Wait until every prediction was announced, and examine the messages."""
    predictions = client.get("/v1/predictions?limit=500").json()["items"]
    deadline = time.monotonic() + 120  # a lease of 30 s may have to end first
    while not {item["id"] for item in predictions} <= {message.document["data"]["id"] for message in pager.received}:
        assert time.monotonic() < deadline
        client.get("/livez")  # runs the loop of the service
    assert predictions
    assert not planted.in_text(json.dumps(pager.received, ensure_ascii=False))


@pytest.fixture(autouse=True)
def _no_leak_in_log_or_output(log: StringIO, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Examine the log, what was counted and everything printed in every test."""
    yield
    assert not planted.in_text(log.getvalue())
    assert not planted.in_text(text([metrics.REGISTRY]))
    assert not planted.in_text("".join(capfd.readouterr()))


def lines(log: StringIO, event: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, log.getvalue().splitlines()) if line["event"] == event]


def test_planted_values_are_in_the_file_and_are_detected() -> None:
    data = planted.file(0)

    assert len(planted.SECRET.findall(data)) > 10_000
    assert b"TWEETY KANARIE" in data  # a private creator
    assert planted.in_text("a Kanarie")
    assert planted.in_text("2.25.7771")
    assert planted.in_answer({"detail": "2.25.7771"})
    assert not planted.in_answer({"items": [{"sop_instance_uid": "2.25.7771"}]})


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_a_prediction_has_the_uids_and_the_accession_number(
    witness: Witness, log: StringIO, syntax: str | None
) -> None:
    radiograph = planted.radiograph(1)

    response = witness.post(planted.encode(radiograph, syntax) if syntax else planted.encode(radiograph))

    assert response.status_code == 200
    assert response.json()["sop_instance_uid"] == "2.25.77731"
    assert response.json()["accession_number"] == "MEANT-771"
    assert len(lines(log, "predicted")[0]["sop_instance_hash"]) == 16


def test_no_operation_of_the_api_leaks_planted_values(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Call each with a record, without one, and with planted values in every parameter and header."""
    monkeypatch.setattr(events, "LIFE_SECONDS", 0)
    id = witness.post(planted.file(2)).json()["id"]
    schema = witness.request("GET", "/openapi.json").json()

    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            names = [parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"]
            for value in (planted.WORDS, planted.DATE, "2.25.7771"):
                for query in ({}, *({name: value} for name in (*names, value))):
                    planted_path = re.sub(r"\{\w+\}", value, path)
                    witness.request(method.upper(), planted_path, params=query, headers=PATIENT)
                    if method == "get" and not path.startswith("/dicom-web/"):
                        witness.request("GET", path.format(id=id), params=query, headers=PATIENT)
                        witness.request("GET", path.format(id=id) + "/", params=query, headers=PATIENT)
    assert witness.request("DELETE", f"/v1/predictions/{id}").status_code == 204


def test_the_worklist_names_the_patient_and_a_search_is_not_logged(witness: Witness, log: StringIO) -> None:
    """The answer names the patient; URL, log and problem documents do not."""
    id = witness.post(planted.encode(planted.radiograph(10))).json()["id"]
    filters = {"q": "kanarie tweety meant-7710", "since": "2020-01-01T00:00:00Z"}

    page = witness.request("POST", "/v1/worklist/search", json=filters, headers=PATIENT)
    table = witness.request("POST", "/v1/worklist.csv", json=filters)
    entry = witness.request("GET", f"/v1/worklist/{id}")
    marked = witness.request("PATCH", f"/v1/predictions/{id}", json={"read": True, "by": planted.WORDS})

    assert [item["id"] for item in page.json()["items"]] == [id]
    assert entry.json()["patient"]["name"] == planted.WORDS
    assert entry.json()["patient"]["id"] == planted.WORDS
    assert planted.WORDS in table.text
    assert marked.json()["read"]["by"] == planted.WORDS
    assert not planted.in_text(str(page.request.url))
    for body in ({"Tweety": 1}, {"q": [planted.WORDS]}, {"q": planted.WORDS * 99}, [planted.WORDS], planted.WORDS):
        for method, path in (("POST", "/v1/worklist/search"), ("PATCH", f"/v1/predictions/{id}")):
            assert witness.request(method, path, json=body).status_code == 400
    assert len(lines(log, "request")) == 15


def test_pixels_and_maps_leak_no_planted_text(witness: Witness) -> None:
    tags = {"WindowCenterWidthExplanation": planted.WORDS, "PatientOrientation": "TWEETY\\F", "ViewPosition": "PA"}
    id = witness.post(planted.encode(planted.radiograph(11, **tags))).json()["id"]

    header = json.loads(witness.request("GET", f"/v1/predictions/{id}/pixels").headers["x-pixels"])
    assert strings(header["windows"][0])[1] == "window 1"
    assert header["orientation"] is None
    assert witness.request("GET", f"/v1/predictions/{id}/maps.json").status_code == 200


def test_dicom_web_leaks_no_planted_values(witness: Witness, log: StringIO) -> None:
    study, series, instance = "2.25.77710", "2.25.77720", "2.25.777390"
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": instance}
    files = (planted.file(90, **uids), planted.file(91, Modality="TWEETY"), b"Tweety", planted.file(90, seed=1, **uids))
    parts = b"".join(b"--Tweety\r\nKanarie: 19420502\r\n\r\n" + file + b"\r\n" for file in files)
    headers = PATIENT | {"Content-Type": 'multipart/related; type="application/dicom"; boundary=Tweety'}

    stored = witness.request("POST", "/dicom-web/studies", content=parts + b"--Tweety--", headers=headers)
    cut = witness.request("POST", "/dicom-web/studies", content=parts[:-9], headers=headers)
    wrong = witness.request("POST", f"/dicom-web/studies/{planted.UID}", content=parts + b"--Tweety--", headers=headers)

    assert (stored.status_code, cut.status_code, wrong.status_code) == (202, 202, 409)
    schema = witness.request("GET", "/openapi.json").json()
    names = {"study": study, "series": series, "instance": instance, "frames": "1", "bulk_data": "7FE00010"}
    paths = [path for path, operations in schema["paths"].items() if "/dicom-web/" in path and "get" in operations]
    assert len(paths) > 15
    for path in paths:
        for query in ({}, {"PatientName": planted.WORDS}, {planted.WORDS: planted.DATE}, {"window": planted.WORDS}):
            if not query or not path.endswith(("{study}", "{series}", "{instance}", "metadata")):
                witness.request("GET", path.format(**names), params=query, headers=PATIENT)
        assert witness.request("GET", path.format(**names), headers={"Accept": planted.WORDS}).status_code == 406
    for name, value in {"StudyDate": planted.WORDS, "limit": planted.DATE, "includefield": planted.WORDS}.items():
        witness.request("GET", "/dicom-web/studies", params={name: value})
    assert lines(log, "request")


@pytest.mark.parametrize("path", ["/Tweety", "/v1/Tweety?PatientID=19420502", "/docs?Tweety", "//Tweety", "/%54weety"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS", "TRACE", "TWEETY"])
def test_an_unknown_path_or_method_leaks_nothing(witness: Witness, method: str, path: str) -> None:
    assert witness.request(method, path, headers=PATIENT).status_code in (200, 204, 404, 405)


@pytest.mark.parametrize("id", [planted.DATE, "2.25.77731", "MEANT-771", "Tweety", "Tweety" * 9])
def test_a_request_id_with_a_planted_value_is_not_taken_over(witness: Witness, id: str) -> None:
    witness.request("GET", "/v1/predictions", headers={"X-Request-Id": id})


@pytest.mark.parametrize("keyword", sorted({*planted.keywords_read()} - {"TransferSyntaxUID", "SpecificCharacterSet"}))
@pytest.mark.parametrize("value", ["TWEETY 19420502", planted.DATE, None])
def test_the_value_of_an_attribute_that_the_service_reads_does_not_leak(
    witness: Witness, keyword: str, value: str | None
) -> None:
    """Whether the file is accepted or refused, the value appears only where it is allowed."""
    if value and keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "AccessionNumber"):
        value = f"2.25.777{value}".replace("19420502", "").replace("TWEETY", "MEANT-77")

    witness.post(planted.encode(planted.bare(3, **{keyword: value})))


@pytest.mark.parametrize("value", [b"TWEETY 19420502 ", planted.DATE.encode()])
def test_the_name_of_an_unknown_character_set_does_not_leak(witness: Witness, value: bytes) -> None:
    known = b"CS\x0a\x00ISO_IR 100"
    file = planted.encode(planted.bare(3, SpecificCharacterSet="ISO_IR 100"))
    assert known in file

    witness.post(file.replace(known, b"CS" + len(value).to_bytes(2, "little") + value))


def test_names_of_files_that_are_sent_do_not_leak(witness: Witness) -> None:
    files = [
        ("Tweety^Kanarie.dcm", planted.file(4)),
        ("../19420502.dcm", b"nothing"),
        ("Tweety.dcm", b""),
        ("2.25.7771", planted.file(4, Modality="TWEETY")),
        ("MEANT-77", planted.file(4, seed=1)),
    ]

    assert [item["status"] for item in witness.post_files(*files).json()] == [200, 400, 400, 422, 409]
    assert witness.post_files(files[0]).status_code == 200
    assert witness.post_files(*files, files[0]).status_code == 400
    for part in ("Tweety", "file"):
        assert witness.request("POST", "/v1/predictions", files={part: (None, planted.WORDS)}).status_code == 400


@pytest.mark.parametrize(
    "media_type",
    [
        *(
            "application/tweety",
            "multipart/form-data; boundary=tweety",
            "multipart/form-data; charset=tweety; boundary=x",
        ),
        *("multipart/form-data", "multipart/related; boundary=19420502", "Tweety"),
    ],
)
@pytest.mark.parametrize("body", [b"--x\r\nTweety: Kanarie\r\n\r\n19420502", b"--tweety\r\nTweety\x01", b"Tweety"])
def test_a_body_that_is_not_a_form_does_not_leak(witness: Witness, media_type: str, body: bytes) -> None:
    assert witness.post(body, media_type).status_code in (400, 415)


@pytest.mark.parametrize(
    "kind", ["sr", "segmentation", "secondary_capture", "presentation_state", "binary_segmentation", "fhir", "hl7"]
)
def test_an_object_names_the_patient_and_the_study_and_nothing_else(witness: Witness, kind: str) -> None:
    links = witness.post(planted.file(3)).json()["links"]

    response = witness.request("GET", links[kind])

    assert response.status_code == 200
    if kind == "fhir":  # identifiers alone
        planted_words = re.findall(r'"[^"]*(?:Tweety|Kanarie|19420502)[^"]*"', response.text, re.IGNORECASE)
        assert set(planted_words) <= {f'"{planted.WORDS}"'}
        return
    if kind == "hl7":
        segments = [line.split("|") for line in response.text.split("\r")]
        fields = {f"{name}-{n}" for name, *values in segments for n, value in enumerate(values, 1) if _planted(value)}
        assert "PID-5" in fields
        orders = {f"{name}-{number}" for name in ("ORC", "OBR") for number in (2, 3, 7, 18, 19, 20)}
        assert fields <= {"PID-3", "PID-5", "PID-7", *orders}
        return
    dataset = dcmread(BytesIO(response.content))
    carriers = {element.keyword for element in dataset if planted.SECRET.search(str(element).encode())}
    assert "PatientName" in carriers
    assert not any(element.tag.is_private for element in dataset)
    assert not carriers & {"InstitutionName", "OperatorsName", "StationName", "ProtocolName", "ImageComments"}
    assert all(
        dataset[keyword].tag.group in (0x0008, 0x0010, 0x0012, 0x0032, 0x0038) for keyword in carriers - {"StudyID"}
    )


def _planted(text: str) -> bool:
    return planted.SECRET.search(text.encode()) is not None


# Refusals...


def test_a_refused_file_does_not_leak(witness: Witness, log: StringIO) -> None:
    data = planted.file(5)

    witness.refused(b"Tweety" * 100, 400, "not_dicom")
    witness.refused(data[:200_000], 400, "truncated")
    witness.refused(planted.file(5, PixelData=None), 400, "pixel_data_missing")
    witness.refused(
        data.replace(b"1.2.840.10008.1.2.1\0", b"2.25.19420502194205\0"), 415, "transfer_syntax_unsupported"
    )
    witness.refused(planted.file(5, Modality="TWEETY", ViewPosition="TWEETY"), 422, "unsuitable_image")
    witness.refused(data + bytes(2**20), 413, "file_too_large")
    witness.refused(data + bytes(3 * 2**20), 413, "body_too_large")
    assert witness.post(data).status_code == 200
    witness.refused(planted.file(5, seed=1), 409, "conflict")

    hashes = [line.get("sop_instance_hash") for line in lines(log, "refused")]
    expected = lines(log, "predicted")[0]["sop_instance_hash"]
    assert hashes == [None, None, expected, expected, expected, None, None, expected]


@pytest.mark.parametrize(
    ("work", "status", "code"),
    [((time.sleep, (60,)), 422, "decode_timeout"), ((os._exit, (9,)), 400, "decoder_failed")],
)
def test_a_failing_decoder_does_not_leak(
    witness: Witness, monkeypatch: pytest.MonkeyPatch, work: tuple[object, object], status: int, code: str
) -> None:
    async def prepare(decoders: Decoders, *_: object) -> object:
        return await decoders._run(*work)

    with monkeypatch.context() as patch:
        seconds = 0.5 if code == "decode_timeout" else 60.0
        patch.setattr(witness.client.pipeline.predictor._decoders, "_seconds", seconds)
        patch.setattr(Decoders, "prepare", prepare)
        witness.refused(planted.file(6), status, code)
    assert witness.post(planted.file(6)).status_code == 200


def test_a_temporary_failure_does_not_leak(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(planted.WORDS)

    def full(file: Incoming, _: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file.partial))

    with witness.client.pipeline.places.spare(4):
        witness.refused(planted.file(7), 503, "overloaded")
    with monkeypatch.context() as patch:
        patch.setattr(Incoming, "_append", full)
        witness.refused(planted.file(7), 507, "storage_full")
    with monkeypatch.context() as patch:
        patch.setattr(Session, "run", fail)
        witness.refused(planted.file(7), 500, "inference_failed")


_DATABASE_ERROR = ("INSERT INTO Tweety", {"uid": planted.WORDS}, sqlite3.OperationalError(planted.WORDS))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (sa.exc.OperationalError(*_DATABASE_ERROR), 503),
        (sa.exc.ProgrammingError(*_DATABASE_ERROR), 500),
        (sa.exc.DataError(*_DATABASE_ERROR), 400),
        (ValueError(planted.WORDS), 500),
        (OSError(5, planted.WORDS, f"/{planted.WORDS}"), 500),
        (UnicodeDecodeError("ascii", planted.WORDS.encode(), 0, 1, planted.WORDS), 500),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_failing_database_does_not_leak(
    witness: Witness, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(sa.Connection, "execute", fail)
    assert witness.post(planted.file(8)).status_code == status
    assert witness.post_files(("a", planted.file(8)), ("b", b"x")).json()[0]["status"] == status
    for path in ("predictions", f"predictions/{'0' * 32}", f"predictions/{'0' * 32}/overlay.png", "worklist", "events"):
        assert witness.request("GET", f"/v1/{path}").status_code == status


@pytest.mark.parametrize("method", ["predict", "get", "list", "delete", "draw", "check_ready"])
def test_an_unexpected_error_does_not_leak(
    witness: Witness, monkeypatch: pytest.MonkeyPatch, log: StringIO, method: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise LookupError(planted.WORDS) from ValueError("2.25.7771")

    id = witness.post(planted.file(9)).json()["id"]
    monkeypatch.setattr(Pipeline if hasattr(Pipeline, method) else StoredPredictions, method, fail)
    statuses = [
        witness.post(planted.file(9)).status_code,
        witness.request("GET", "/v1/predictions").status_code,
        witness.request("GET", "/readyz").status_code,
        witness.request("GET", f"/v1/predictions/{id}/overlay.png").status_code,
        *(witness.request(verb, f"/v1/predictions/{id}").status_code for verb in ("GET", "DELETE")),
    ]

    assert 500 in statuses
    assert lines(log, "unexpected")[0]["error"] == "LookupError"


def test_a_request_without_a_valid_key_or_origin_does_not_leak(
    artefact: Path, tmp_path: Path, witness: Witness
) -> None:
    for headers in ({"Host": "tweety.example"}, {"Origin": "https://tweety.example/19420502"}):
        assert witness.request("GET", "/v1/predictions", headers=headers).status_code == 403
    settings = settings_for(artefact, tmp_path, Limits(decode_workers=1, requests_per_second=0.001, requests_burst=4))
    with client_of(create_app(settings.model_copy(update={"http": Http(keys="always")}))) as client:
        anonymous = Witness(client)
        for scheme in ("Bearer", "Basic"):
            headers = {"Authorization": f"{scheme} {planted.WORDS}"}
            statuses = [anonymous.request("GET", "/v1/predictions", headers=headers).status_code for _ in range(3)]
            assert statuses == ([401] * 3 if scheme == "Bearer" else [401, 429, 429])


# The commands, as processes...


@pytest.fixture
def environment(artefact: Path, tmp_path: Path) -> dict[str, str]:
    folders = {name: tmp_path / name for name in ("home", "temporary", "work")}
    for folder in folders.values():
        folder.mkdir()
    return {
        "HOME": str(folders["home"]),
        "TMPDIR": str(folders["temporary"]),
        "TRIAGE_HTTP__PORT": "0",
        "TRIAGE_METRICS__PORT": "0",
        "TRIAGE_MODEL__PATH": str(artefact),
        "TRIAGE_STORAGE__FOLDER": str(tmp_path / "data"),
        "TRIAGE_LIMITS__DECODE_WORKERS": "1",
        "PYTHONWARNINGS": "default",
        "PYTHONDEVMODE": "1",
        "PYTHONPATH": str(ROOT),  # this working tree, whatever is installed
    }


def test_serve_writes_nothing_planted(environment: dict[str, str], tmp_path: Path) -> None:
    with stub() as collector, (tmp_path / "log").open("wb") as log:
        variables = environment | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "FASTAPI_OTEL_AUTO_CONFIGURE": "true"}
        variables["OTEL_BSP_SCHEDULE_DELAY"] = "100"  # ms; what is left at the end is sent for two seconds only
        started = subprocess.Popen(
            [TRIAGE, "serve"], env=variables, cwd=tmp_path / "work", stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            assert started.stdout is not None
            greeting = [started.stdout.readline() for _ in range(5)]
            provoke(int(greeting[0].split()[3].rpartition(":")[2]))
            measured = httpx.get(greeting[4].split()[1], timeout=60).text
            deadline = time.monotonic() + 60
            while not any(b"/v1/predictions" in body for _, body in collector.received):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            started.terminate()
            out, _ = started.communicate(timeout=60)

    assert 'triage_refusals_total{reason="not_dicom"} ' in measured
    assert not planted.in_text(measured)
    sent = b"".join(body for _, body in collector.received)
    assert b"/v1/predictions" in sent
    assert not planted.in_text(sent)
    lines = (tmp_path / "log").read_text()
    hashed = subprocess.run([TRIAGE, "hash", "2.25.77731"], env=environment, capture_output=True, text=True, check=True)
    assert started.returncode == 0
    assert f'"sop_instance_hash": "{hashed.stdout.strip()}"' in lines
    assert not planted.in_text(lines + out)
    assert not planted.in_files(tmp_path, tmp_path / "data")


def provoke(port: int) -> None:
    """Send good, bad and malformed requests with planted values."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        deadline = time.monotonic() + 300
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        statuses = []
        for data in (planted.file(1), planted.file(1, seed=1), planted.file(2, Rows="TWEETY"), b"Tweety"):
            headers = PATIENT | {"Content-Type": "application/dicom"}
            response = client.post("/v1/predictions", content=data, headers=headers)
            examine(response)
            statuses.append(response.status_code)
        big = ("Tweety.dcm", planted.file(3) + bytes(2**20))  # parts over 1 MiB go through a temporary file
        examine(client.post("/v1/predictions", files=[("file", big), ("file", ("Kanarie", b"x"))]))
        examine(client.get(f"/{planted.WORDS}", params={planted.DATE: planted.WORDS}, headers=PATIENT))
    assert statuses == [200, 409, 400, 400]
    for garbage in (b"Tweety Kanarie 19420502\r\n\r\n", b"GET /Tweety HTTP/1.1\r\nTweety\x00: 19420502\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(garbage)
            assert not planted.in_text(connection.recv(2**16))


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_predict_writes_nothing_planted(environment: dict[str, str], tmp_path: Path, form: list[str]) -> None:
    files = tmp_path / "work"
    (files / "Tweety.dcm").write_bytes(planted.file(1))
    (files / "Kanarie.dcm").write_bytes(planted.file(2, Rows="TWEETY"))
    (files / "19420502.dcm").write_bytes(b"Tweety")

    done = subprocess.run(
        [TRIAGE, "predict", ".", *form], env=environment, cwd=files, capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 1
    assert not planted.in_text(done.stderr)
    out = done.stdout
    for name in ("Tweety.dcm", "Kanarie.dcm", "19420502.dcm"):  # file names of the command line may be printed
        assert name in out
        out = out.replace(name, "")
    assert not planted.SECRET.search(out.encode())
