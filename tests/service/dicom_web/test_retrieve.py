"""QIDO-RS and WADO-RS with handwritten requests: media types, statuses and invalid parameters."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEGLSLossless

from service.dicom.reader import Part10
from service.dicom_web.catalogue import Catalogue
from service.dicom_web.study import Entry
from service.errors import MalformedDicom, NotFound, Overloaded, TriageError
from tests.factories import SERIES, STUDY, chest, compressed, encode, ramp
from tests.service.serving import Client, serving, settings_for

PLAIN, COMPRESSED, BARE, BIG = "2.25.50001", "2.25.50002", "2.25.50003", "2.25.50004"
INSTANCES = f"/dicom-web/studies/{STUDY}/series/{SERIES}/instances"
PIXELS = ramp(256, 300)


def stored_file(uid: str) -> bytes:
    dataset = chest(PIXELS, SOPInstanceUID=uid, StudyDate="20260102")
    if uid == COMPRESSED:
        return compressed(dataset, JPEGLSLossless)
    if uid == BIG:
        return encode(dataset, ExplicitVRBigEndian)
    if uid == BARE:
        data = encode(dataset)
        meta = 132 + 12 + int.from_bytes(data[140:144], "little")  # the first element is the length of the group
        return data[meta:]
    return encode(dataset)


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(settings_for(artefact, tmp_path_factory.mktemp("data"))) as client:
        for uid in (PLAIN, COMPRESSED, BARE, BIG):
            assert client.post(stored_file(uid)).status_code == 200
        yield client


def test_a_search_without_results_is_204(client: Client) -> None:
    response = client.get("/dicom-web/studies?PatientID=nobody")

    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("studies?Nonsense=1", "unknown_parameter"),
        ("series?SOPInstanceUID=1", "unsupported_key"),
        (f"studies/{STUDY}/instances?limit=x", "invalid_value"),
    ],
)
def test_an_invalid_search_is_400(client: Client, path: str, code: str) -> None:
    response = client.get(f"/dicom-web/{path}")

    assert (response.status_code, response.json()["code"]) == (400, code)


def test_a_series_is_returned_with_its_study(client: Client) -> None:
    [series] = client.get("/dicom-web/series?Modality=DX").json()

    values = {tag: element.get("Value") for tag, element in series.items()}
    assert values["0020000D"] == [STUDY]
    assert values["0020000E"] == [SERIES]
    assert values["00080020"] == ["20260102"]
    assert values["00201209"] == [4]
    assert values["00080056"] == ["ONLINE"]
    assert values["00100010"] == [{"Alphabetic": "Canary^Tweety"}]
    assert values["00081190"] == [f"http://localhost/dicom-web/studies/{STUDY}/series/{SERIES}"]


def test_fuzzy_matching_is_literal_with_a_warning(client: Client) -> None:
    response = client.get("/dicom-web/studies?fuzzymatching=true&PatientName=Canary*")

    assert response.status_code == 200
    assert "fuzzymatching parameter is not supported" in response.headers["warning"]


@pytest.mark.parametrize(
    ("search", "count"),
    [
        ("instances?SOPInstanceUID=2.25.50001,2.25.50004", 2),
        (f"studies/{STUDY}/series/{SERIES}/instances", 4),
        ("instances?Modality=SR", 4),
        ("instances?Modality=SR&limit=3&offset=2", 2),
        ("studies?ModalitiesInStudy=SEG", 1),
        ("instances?StudyDate=20260103-", 0),
    ],
)
def test_a_search_has_the_expected_number_of_results(client: Client, search: str, count: int) -> None:
    response = client.get(f"/dicom-web/{search}")

    assert len(response.json() if count else response.content) == count


def test_a_single_file_is_returned_unchanged(client: Client) -> None:
    for uid, syntax in ((PLAIN, ExplicitVRLittleEndian), (COMPRESSED, JPEGLSLossless)):
        response = client.get(f"{INSTANCES}/{uid}", headers={"Accept": "application/dicom; transfer-syntax=*"})
        assert response.headers["content-type"] == f"application/dicom; transfer-syntax={syntax}"
        assert response.content == stored_file(uid)


def test_a_file_in_a_part_is_returned_unchanged(client: Client) -> None:
    response = client.get(f"{INSTANCES}/{PLAIN}")

    media_type, _, boundary = response.headers["content-type"].partition("; boundary=")
    head = f"--{boundary}\r\nContent-Type: application/dicom; transfer-syntax={ExplicitVRLittleEndian}\r\n\r\n"
    assert media_type == 'multipart/related; type="application/dicom"'
    assert response.content == head.encode() + stored_file(PLAIN) + f"\r\n--{boundary}--\r\n".encode()


def test_a_bare_data_set_is_returned_as_a_part_10_file(client: Client) -> None:
    response = client.get(f"{INSTANCES}/{BARE}", headers={"Accept": "application/dicom"})

    dataset = dcmread(BytesIO(response.content))
    assert dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert dataset.file_meta.MediaStorageSOPInstanceUID == BARE
    assert dataset == dcmread(BytesIO(encode(chest(PIXELS, SOPInstanceUID=BARE, StudyDate="20260102"))))


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        (f"/{PLAIN}", 'multipart/related; type="application/dicom"', 200),
        (f"/{PLAIN}", f"application/dicom; transfer-syntax={ExplicitVRLittleEndian}", 200),
        (f"/{COMPRESSED}", "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.90", 406),
        (f"/{PLAIN}", 'multipart/related; type="application/octet-stream"', 406),
        (f"/{PLAIN}", "text/html", 406),
        (f"/{PLAIN}/metadata", "application/dicom+xml", 406),
        (f"/{PLAIN}/rendered", "image/gif", 406),
        (f"/{PLAIN}/rendered?annotation=patient", "*/*", 400),
        (f"/{PLAIN}/rendered?window=1,2", "*/*", 400),
        (f"/{PLAIN}/rendered?window=1,2,cubic", "*/*", 400),
        (f"/{PLAIN}/rendered?window=nan,2,linear", "*/*", 400),
        (f"/{PLAIN}/rendered?viewport=0,5", "*/*", 400),
        (f"/{PLAIN}/rendered?quality=0", "*/*", 400),
        (f"/{PLAIN}/frames/1", 'multipart/related; type="image/jpeg"', 406),
        (f"/{COMPRESSED}/frames/1", 'multipart/related; type="image/jls"', 200),
        (f"/{PLAIN}/frames/1/rendered", "*/*", 200),
        (f"/{PLAIN}/frames/1/thumbnail", "*/*", 200),
        (f"/{PLAIN}/frames/2/rendered", "*/*", 404),
        (f"/{PLAIN}/frames/0", "*/*", 404),
        (f"/{PLAIN}/frames/2", "*/*", 404),
        (f"/{PLAIN}/frames/x", "*/*", 400),
        ("/2.25.1", "*/*", 404),
        ("/2.25.1/metadata", "*/*", 404),
        ("/2.25.1/rendered", "*/*", 404),
    ],
)
def test_each_request_has_the_expected_status(client: Client, path: str, accept: str, status: int) -> None:
    response = client.get(INSTANCES + path, headers={"Accept": accept})

    assert response.status_code == status
    assert status == 200 or response.headers["content-type"] == "application/problem+json"


def test_the_query_parameter_accept_replaces_the_header(client: Client) -> None:
    response = client.get(f"{INSTANCES}/{PLAIN}/rendered?accept=image/png", headers={"Accept": "image/jpeg"})

    assert response.headers["content-type"] == "image/png"


def test_native_frames_are_little_endian(client: Client) -> None:
    for uid in (PLAIN, BIG):
        response = client.get(f"{INSTANCES}/{uid}/frames/1")
        assert f"application/octet-stream; transfer-syntax={ExplicitVRLittleEndian}".encode() in response.content
        assert PIXELS.astype("<u2").tobytes() in response.content


def test_frames_stay_as_they_are_stored_if_any_transfer_syntax_is_accepted(client: Client) -> None:
    accept = "multipart/related; type=application/octet-stream; transfer-syntax=*"  # OHIF, Cornerstone
    response = client.get(f"{INSTANCES}/{COMPRESSED}/frames/1", headers={"Accept": accept})

    assert b"Content-Type: image/jls; transfer-syntax=1.2.840.10008.1.2.4.80" in response.content
    assert b"\r\n\r\n\xff\xd8\xff" in response.content  # SOI


def test_a_thumbnail_fits_128_pixels(client: Client) -> None:
    for path in (f"/dicom-web/studies/{STUDY}", f"/dicom-web/studies/{STUDY}/series/{SERIES}", f"{INSTANCES}/{PLAIN}"):
        response = client.get(f"{path}/thumbnail")
        assert response.headers["content-type"] == "image/jpeg"
        assert Image.open(BytesIO(response.content)).size == (128, 109)


@pytest.mark.parametrize(
    ("function", "shades"), [("linear", (0, 255, 255)), ("linear-exact", (0, 128, 255)), ("sigmoid", (30, 128, 225))]
)
def test_a_window_gives_the_values_of_the_standard(client: Client, function: str, shades: tuple[int, ...]) -> None:
    response = client.get(f"{INSTANCES}/{PLAIN}/rendered?accept=image/png&window=1000,2,{function}")

    image = np.asarray(Image.open(BytesIO(response.content)))
    assert tuple(np.unique(image[value == PIXELS]).tolist() for value in (999, 1000, 1001)) == tuple(
        [shade] for shade in shades
    )


def test_objects_that_are_not_pictures_are_not_rendered(client: Client) -> None:
    for modality, status in (("SR", 406), ("SEG", 406), ("PR", 406), ("OT", 200)):
        [result] = client.get(f"/dicom-web/instances?Modality={modality}&limit=1").json()
        path = result["00081190"]["Value"][0].removeprefix("http://localhost")
        assert client.get(f"{path}/rendered").status_code == status
        assert client.get(f"{path}/frames/1").status_code == (404 if modality in ("SR", "PR") else 200)


def test_without_a_free_place_retrieval_is_503_and_search_works(client: Client) -> None:
    with client.pipeline.places.spare(1000):
        assert client.get(f"{INSTANCES}/{PLAIN}/rendered").status_code == 503
        for path in ("", "/metadata", f"/series/{SERIES}", f"/series/{SERIES}/instances/{PLAIN}"):
            assert client.get(f"/dicom-web/studies/{STUDY}{path}").status_code == 503
        assert client.get("/dicom-web/studies").status_code == 200


@pytest.mark.parametrize(("kind", "error", "complete"), [
    ("sr", MalformedDicom("no", "value_invalid"), True),
    ("sr", MalformedDicom("no", "decoder_failed"), False),
    ("sr", Overloaded("no"), False),
    (None, NotFound("no"), False),
])  # fmt: skip
def test_an_object_that_cannot_be_made_is_omitted_and_other_errors_break_off(
    client: Client, monkeypatch: pytest.MonkeyPatch, kind: str | None, error: TriageError, complete: bool
) -> None:
    """A study that lacks a stored instance must not look complete."""
    file = Catalogue.file

    async def fail(catalogue: Catalogue, entry: Entry) -> Part10:
        if entry.kind == kind:
            raise error
        return await file(catalogue, entry)

    monkeypatch.setattr(Catalogue, "file", fail)
    try:
        answer = client.get(f"/dicom-web/studies/{STUDY}").content
    except AssertionError:  # httpx's transport asserts that a body ends
        answer = b""

    assert answer.rstrip().endswith(b"--") == complete


@pytest.fixture(scope="module")
def requested(client: Client) -> str:
    """Store a radiograph with two requests, and return its Series Instance UID."""
    requests = [Dataset(), Dataset()]
    for number, request in enumerate(requests, 1):
        request.ScheduledProcedureStepID, request.RequestedProcedureID = f"S{number}", f"R{number}"
    uids = {"SOPInstanceUID": "2.25.50010", "SeriesInstanceUID": "2.25.50011", "StudyInstanceUID": "2.25.50012"}
    known = {"TimezoneOffsetFromUTC": "+0100", "IssuerOfPatientID": "WARD"}
    data = encode(chest(PIXELS, RequestAttributesSequence=requests, **uids, **known))
    assert client.post(data).status_code == 200
    return uids["SeriesInstanceUID"]


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ("00400275.00400009=S1", 1),
        ("RequestAttributesSequence.RequestedProcedureID=R*", 1),
        ("00400275.00400009=S2&00400275.00401001=R2", 1),
        ("00400275.00400009=S1&00400275.00401001=R2", 0),  # of two requests
        ("00400275.00400009=S3", 0),
    ],
)
def test_series_are_found_by_their_requests(client: Client, requested: str, keys: str, count: int) -> None:
    response = client.get(f"/dicom-web/series?Modality=DX&{keys}&includefield=IssuerOfPatientID")

    assert "warning" not in response.headers
    found = response.json() if count else []
    assert [series["0020000E"]["Value"] for series in found] == [[requested]] * count
    for series in found:
        assert series["00080201"] == {"vr": "SH", "Value": ["+0100"]}
        assert series["00100021"] == {"vr": "LO", "Value": ["WARD"]}
        assert [item["00400009"]["Value"] for item in series["00400275"]["Value"]] == [["S1"], ["S2"]]
        assert [item["00401001"]["Value"] for item in series["00400275"]["Value"]] == [["R1"], ["R2"]]


def test_what_is_not_known_is_left_out_and_not_empty(client: Client) -> None:
    [series] = client.get(f"/dicom-web/studies/{STUDY}/series?Modality=DX").json()

    assert not {"00080201", "00100021", "00400275"} & set(series)


def test_a_field_that_is_not_stored_is_named_in_a_warning(client: Client) -> None:
    response = client.get("/dicom-web/studies?includefield=InstitutionName")

    assert response.headers["warning"] == '299 agcnn-triage "includefield is not supported for InstitutionName"'
