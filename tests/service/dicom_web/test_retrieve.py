"""QIDO-RS and WADO-RS by requests written by hand: media types, statuses, and what is not understood."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
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


def sent(uid: str) -> bytes:
    dataset = chest(PIXELS, SOPInstanceUID=uid, StudyDate="20260102")
    if uid == COMPRESSED:
        return compressed(dataset, JPEGLSLossless)
    if uid == BIG:
        return encode(dataset, ExplicitVRBigEndian)
    if uid == BARE:
        data = encode(dataset)
        meta = 132 + 12 + int.from_bytes(data[140:144], "little")  # the group's length is its first element
        return data[meta:]
    return encode(dataset)


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(settings_for(artefact, tmp_path_factory.mktemp("data"))) as client:
        for uid in (PLAIN, COMPRESSED, BARE, BIG):
            assert client.post(sent(uid)).status_code == 200
        yield client


def test_a_search_that_finds_nothing_is_204(client: Client) -> None:
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
def test_a_search_that_is_not_understood_is_400(client: Client, path: str, code: str) -> None:
    response = client.get(f"/dicom-web/{path}")

    assert (response.status_code, response.json()["code"]) == (400, code)


def test_a_series_is_told_with_its_study(client: Client) -> None:
    [found] = client.get("/dicom-web/series?Modality=DX").json()

    told = {tag: element.get("Value") for tag, element in found.items()}
    assert told["0020000D"] == [STUDY]
    assert told["0020000E"] == [SERIES]
    assert told["00080020"] == ["20260102"]
    assert told["00201209"] == [4]
    assert told["00080056"] == ["ONLINE"]
    assert told["00100010"] == [{"Alphabetic": "Canary^Tweety"}]
    assert told["00081190"] == [f"http://localhost/dicom-web/studies/{STUDY}/series/{SERIES}"]


def test_fuzzy_matching_is_done_literally_and_said(client: Client) -> None:
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
def test_searches(client: Client, search: str, count: int) -> None:
    response = client.get(f"/dicom-web/{search}")

    assert len(response.json() if count else response.content) == count


def test_a_file_alone_is_what_was_sent(client: Client) -> None:
    for uid, syntax in ((PLAIN, ExplicitVRLittleEndian), (COMPRESSED, JPEGLSLossless)):
        response = client.get(f"{INSTANCES}/{uid}", headers={"Accept": "application/dicom; transfer-syntax=*"})
        assert response.headers["content-type"] == f"application/dicom; transfer-syntax={syntax}"
        assert response.content == sent(uid)


def test_a_file_in_a_part_is_what_was_sent(client: Client) -> None:
    response = client.get(f"{INSTANCES}/{PLAIN}")

    media_type, _, boundary = response.headers["content-type"].partition("; boundary=")
    head = f"--{boundary}\r\nContent-Type: application/dicom; transfer-syntax={ExplicitVRLittleEndian}\r\n\r\n"
    assert media_type == 'multipart/related; type="application/dicom"'
    assert response.content == head.encode() + sent(PLAIN) + f"\r\n--{boundary}--\r\n".encode()


def test_a_bare_data_set_comes_back_as_a_file(client: Client) -> None:
    response = client.get(f"{INSTANCES}/{BARE}", headers={"Accept": "application/dicom"})

    found = dcmread(BytesIO(response.content))
    assert found.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert found.file_meta.MediaStorageSOPInstanceUID == BARE
    assert found == dcmread(BytesIO(encode(chest(PIXELS, SOPInstanceUID=BARE, StudyDate="20260102"))))


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        (f"/{PLAIN}", 'multipart/related; type="application/dicom"', 200),
        (f"/{PLAIN}", f"application/dicom; transfer-syntax={ExplicitVRLittleEndian}", 200),
        (f"/{COMPRESSED}", f"application/dicom; transfer-syntax={ExplicitVRLittleEndian}", 406),
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
        (f"/{PLAIN}/frames/0", "*/*", 404),
        (f"/{PLAIN}/frames/2", "*/*", 404),
        (f"/{PLAIN}/frames/x", "*/*", 400),
        ("/2.25.1", "*/*", 404),
        ("/2.25.1/metadata", "*/*", 404),
        ("/2.25.1/rendered", "*/*", 404),
    ],
)
def test_statuses(client: Client, path: str, accept: str, status: int) -> None:
    response = client.get(INSTANCES + path, headers={"Accept": accept})

    assert response.status_code == status
    assert status == 200 or response.headers["content-type"] == "application/problem+json"


def test_the_query_parameter_accept_goes_before_the_header(client: Client) -> None:
    response = client.get(f"{INSTANCES}/{PLAIN}/rendered?accept=image/png", headers={"Accept": "image/jpeg"})

    assert response.headers["content-type"] == "image/png"


def test_native_frames_are_little_endian(client: Client) -> None:
    for uid in (PLAIN, BIG):
        response = client.get(f"{INSTANCES}/{uid}/frames/1")
        assert f"application/octet-stream; transfer-syntax={ExplicitVRLittleEndian}".encode() in response.content
        assert PIXELS.astype("<u2").tobytes() in response.content


def test_compressed_frames_stay_so(client: Client) -> None:
    response = client.get(f"{INSTANCES}/{COMPRESSED}/frames/1")

    assert b"Content-Type: image/jls; transfer-syntax=1.2.840.10008.1.2.4.80" in response.content
    assert b"\r\n\r\n\xff\xd8\xff" in response.content  # SOI


def test_a_thumbnail_is_small(client: Client) -> None:
    for place in (f"/dicom-web/studies/{STUDY}", f"/dicom-web/studies/{STUDY}/series/{SERIES}", f"{INSTANCES}/{PLAIN}"):
        response = client.get(f"{place}/thumbnail")
        assert response.headers["content-type"] == "image/jpeg"
        assert Image.open(BytesIO(response.content)).size == (128, 109)


@pytest.mark.parametrize(
    ("function", "shades"), [("linear", (0, 255, 255)), ("linear-exact", (0, 128, 255)), ("sigmoid", (30, 128, 225))]
)
def test_windows_worked_out_by_hand(client: Client, function: str, shades: tuple[int, ...]) -> None:
    response = client.get(f"{INSTANCES}/{PLAIN}/rendered?accept=image/png&window=1000,2,{function}")

    shown = np.asarray(Image.open(BytesIO(response.content)))
    assert tuple(np.unique(shown[value == PIXELS]).tolist() for value in (999, 1000, 1001)) == tuple(
        [one] for one in shades
    )


def test_what_is_no_picture_is_not_rendered(client: Client) -> None:
    for modality, status in (("SR", 406), ("SEG", 406), ("PR", 406), ("OT", 200)):
        [found] = client.get(f"/dicom-web/instances?Modality={modality}&limit=1").json()
        path = found["00081190"]["Value"][0].removeprefix("http://localhost")
        assert client.get(f"{path}/rendered").status_code == status
        assert client.get(f"{path}/frames/1").status_code == (404 if modality in ("SR", "PR") else 200)


def test_nothing_is_drawn_where_all_places_are_taken(client: Client) -> None:
    with client.pipeline.spare(1000):
        assert client.get(f"{INSTANCES}/{PLAIN}/rendered").status_code == 503
        for path in ("", "/metadata", f"/series/{SERIES}", f"/series/{SERIES}/instances/{PLAIN}"):
            assert client.get(f"/dicom-web/studies/{STUDY}{path}").status_code == 503
        assert client.get("/dicom-web/studies").status_code == 200


@pytest.mark.parametrize(("kind", "error", "whole"), [
    ("sr", MalformedDicom("no", "value_invalid"), True),
    ("sr", MalformedDicom("no", "decoder_failed"), False),
    ("sr", Overloaded("no"), False),
    (None, NotFound("no"), False),
])  # fmt: skip
def test_what_cannot_be_made_is_passed_over_and_what_fails_breaks_off(
    client: Client, monkeypatch: pytest.MonkeyPatch, kind: str | None, error: TriageError, whole: bool
) -> None:
    """A study that lacks what is there must not look complete."""
    file = Catalogue.file

    async def fail(catalogue: Catalogue, entry: Entry) -> Part10:
        if entry.kind == kind:
            raise error
        return await file(catalogue, entry)

    monkeypatch.setattr(Catalogue, "file", fail)
    try:
        answer = client.get(f"/dicom-web/studies/{STUDY}").content
    except AssertionError:  # httpx's transport holds that a body has an end
        answer = b""

    assert answer.rstrip().endswith(b"--") == whole
