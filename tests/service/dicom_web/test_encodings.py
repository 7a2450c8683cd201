"""Content negotiation of WADO-RS, PS3.18 8.7.3: what each Accept of a stock client is answered."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import httpx
import imagecodecs
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from tests.factories import SERIES, STUDY, chest, compressed, encode, jpeg_baseline, ramp
from tests.service.serving import Client, serving, settings_for

PIXELS = ramp(256, 300)
INSTANCES = f"/dicom-web/studies/{STUDY}/series/{SERIES}/instances"
NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
COMPRESSED = (JPEGLSLossless, JPEG2000Lossless, RLELossless)
OCTETS, EXPLICIT = "application/octet-stream", str(ExplicitVRLittleEndian)
MEDIA_TYPES = {JPEGLSLossless: "image/jls", JPEG2000Lossless: "image/jp2", RLELossless: "image/dicom-rle"}


@dataclass(frozen=True)
class Part:
    content_type: str
    content: bytes


def parts(answer: httpx.Response) -> list[Part]:
    """Split a body by hand, RFC 2046 5.1.1."""
    limit = b"\r\n--" + answer.headers["content-type"].partition("boundary=")[2].encode()
    *pieces, last = (b"\r\n" + answer.content).split(limit)[1:]
    assert last == b"--\r\n"
    heads_and_contents = [piece.removeprefix(b"\r\n").split(b"\r\n\r\n", 1) for piece in pieces]
    return [Part(head.decode().removeprefix("Content-Type: "), content) for head, content in heads_and_contents]


def uid(syntax: str) -> str:
    return f"2.25.6000{[*NATIVE, *COMPRESSED, JPEGBaseline8Bit].index(syntax)}"


def stored_file(syntax: str) -> bytes:
    if syntax == JPEGBaseline8Bit:
        return jpeg_baseline(ramp(256, 300, 8), SOPInstanceUID=uid(syntax))
    dataset = chest(PIXELS, SOPInstanceUID=uid(syntax))
    return compressed(dataset, syntax) if syntax in COMPRESSED else encode(dataset, syntax)


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(settings_for(artefact, tmp_path_factory.mktemp("data"))) as client:
        for syntax in (*NATIVE, *COMPRESSED, JPEGBaseline8Bit):
            assert client.post(stored_file(syntax)).status_code == 200
        yield client


def get(client: Client, path: str, accept: str) -> httpx.Response:
    answer = client.get(path, headers={"Accept": accept})
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize("syntax", [*NATIVE, *COMPRESSED])
@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        'multipart/related; type="*/*"',  # Python's dicomweb-client
        'multipart/related; type="application/octet-stream"',  # npm's dicomweb-client
        f'multipart/related; type="application/octet-stream"; transfer-syntax={EXPLICIT}',
        "multipart/related; type=application/octet-stream, */*; q=0.1",
    ],
)
def test_frames_are_uncompressed_unless_a_transfer_syntax_is_named(client: Client, syntax: str, accept: str) -> None:
    answer = get(client, f"{INSTANCES}/{uid(syntax)}/frames/1", accept)

    assert answer.headers["content-type"].startswith(f'multipart/related; type="{OCTETS}"; boundary=')
    assert parts(answer) == [Part(f"{OCTETS}; transfer-syntax={EXPLICIT}", PIXELS.astype("<u2").tobytes())]


@pytest.mark.parametrize("syntax", [*NATIVE, *COMPRESSED])
@pytest.mark.parametrize(
    "accept",
    [
        "multipart/related; type=application/octet-stream; transfer-syntax=*",  # OHIF, Cornerstone
        'multipart/related; type="*/*"; transfer-syntax=*',
        'multipart/related; type="image/jls", multipart/related; type="image/jp2", '
        'multipart/related; type="image/dicom-rle", multipart/related; type="application/octet-stream"; q=0.5',
    ],
)
def test_frames_stay_compressed_for_who_accepts_it(client: Client, syntax: str, accept: str) -> None:
    [part] = parts(get(client, f"{INSTANCES}/{uid(syntax)}/frames/1", accept))

    if syntax in NATIVE:
        assert part == Part(f"{OCTETS}; transfer-syntax={EXPLICIT}", PIXELS.astype("<u2").tobytes())
    else:
        assert part.content_type == f"{MEDIA_TYPES[syntax]}; transfer-syntax={syntax}"
        assert part.content in stored_file(syntax)


@pytest.mark.parametrize(
    ("syntax", "accept"),
    [
        (JPEGLSLossless, 'multipart/related; type="image/x-jls"'),
        (RLELossless, 'multipart/related; type="image/x-dicom-rle"; transfer-syntax=1.2.840.10008.1.2.5'),
        (JPEGLSLossless, "multipart/related; type=application/octet-stream; transfer-syntax=1.2.840.10008.1.2.4.80"),
        (JPEGLSLossless, 'multipart/related; type="image/*"'),
    ],
)
def test_older_names_of_an_encoding_are_understood(client: Client, syntax: str, accept: str) -> None:
    [part] = parts(get(client, f"{INSTANCES}/{uid(syntax)}/frames/1", accept))

    assert part.content_type == f"{MEDIA_TYPES[syntax]}; transfer-syntax={syntax}"


@pytest.mark.parametrize("accept", [OCTETS, f"{OCTETS}; transfer-syntax={EXPLICIT}"])
def test_a_single_frame_may_be_sent_alone(client: Client, accept: str) -> None:
    answer = get(client, f"{INSTANCES}/{uid(JPEGLSLossless)}/frames/1", accept)

    assert answer.headers["content-type"] == f"{OCTETS}; transfer-syntax={EXPLICIT}"
    assert answer.content == PIXELS.astype("<u2").tobytes()


@pytest.mark.parametrize("syntax", [*NATIVE, *COMPRESSED])
@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "application/dicom",
        'multipart/related; type="application/dicom"',
        f"application/dicom; transfer-syntax={EXPLICIT}",
    ],
)
def test_a_file_is_uncompressed_unless_a_transfer_syntax_is_named(client: Client, syntax: str, accept: str) -> None:
    answer = get(client, f"{INSTANCES}/{uid(syntax)}", accept)

    content_type, content = answer.headers["content-type"], answer.content
    if content_type.startswith("multipart"):
        [part] = parts(answer)
        content_type, content = part.content_type, part.content
    dataset = dcmread(BytesIO(content))
    assert content_type == f"application/dicom; transfer-syntax={EXPLICIT}"
    assert dataset.file_meta.TransferSyntaxUID == EXPLICIT
    assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID == uid(syntax)
    np.testing.assert_array_equal(dataset.pixel_array, PIXELS)


@pytest.mark.parametrize("syntax", [*NATIVE, *COMPRESSED])
def test_a_file_stays_as_stored_for_who_accepts_it(client: Client, syntax: str) -> None:
    for accept in ("application/dicom; transfer-syntax=*", f"application/dicom; transfer-syntax={syntax}"):
        answer = get(client, f"{INSTANCES}/{uid(syntax)}", accept)
        assert answer.headers["content-type"] == f"application/dicom; transfer-syntax={syntax}"
        assert answer.content == stored_file(syntax)


def test_a_study_is_uncompressed_or_as_stored(client: Client) -> None:
    def syntaxes(accept: str) -> set[str]:
        received = parts(get(client, f"/dicom-web/studies/{STUDY}", accept))
        for part in received:
            syntax = dcmread(BytesIO(part.content), stop_before_pixels=True).file_meta.TransferSyntaxUID
            assert part.content_type == f"application/dicom; transfer-syntax={syntax}"
        assert len(received) == 6 * 8
        return {part.content_type.rpartition("=")[2] for part in received}

    assert syntaxes('multipart/related; type="application/dicom"') == {EXPLICIT}
    assert syntaxes('multipart/related; type="application/dicom"; transfer-syntax=*') == {
        *NATIVE, *COMPRESSED, JPEGBaseline8Bit
    }  # fmt: skip


def test_a_lossy_file_keeps_its_pixels_when_it_is_decoded(client: Client) -> None:
    answer = get(client, f"{INSTANCES}/{uid(JPEGBaseline8Bit)}", "application/dicom")

    expected = dcmread(BytesIO(stored_file(JPEGBaseline8Bit))).pixel_array
    np.testing.assert_allclose(dcmread(BytesIO(answer.content)).pixel_array.astype(int), expected.astype(int), atol=1)


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("", "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50"),
        ("", "multipart/related; type=application/octet-stream"),
        ("/frames/1", 'multipart/related; type="image/jpeg"'),
        ("/frames/1", "multipart/related; type=image/jp2; transfer-syntax=*"),
        ("/frames/1", "multipart/related; type=video/mp4"),
        ("/bulkdata/7FE00010", 'multipart/related; type="image/jpeg"'),
    ],
)
def test_what_cannot_be_made_is_406(client: Client, path: str, accept: str) -> None:
    answer = client.get(f"{INSTANCES}/{uid(JPEGLSLossless)}{path}", headers={"Accept": accept})

    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


def test_a_study_with_an_image_that_cannot_be_made_is_406(client: Client) -> None:
    accept = "multipart/related; type=application/dicom; transfer-syntax=1.2.840.10008.1.2.4.80"

    assert client.get(f"/dicom-web/studies/{STUDY}", headers={"Accept": accept}).status_code == 406


# The objects of this service...


def instance_of(client: Client, modality: str) -> str:
    [result] = client.get(f"/dicom-web/instances?Modality={modality}&limit=1").json()
    return str(result["00081190"]["Value"][0]).removeprefix("http://localhost")


def uncompressed(client: Client, path: str) -> Dataset:
    return dcmread(BytesIO(get(client, path, "application/dicom").content))


@pytest.mark.parametrize(
    ("modality", "syntax", "media_type"),
    [
        ("SEG", RLELossless, "image/dicom-rle"),
        ("OT", RLELossless, "image/dicom-rle"),
        ("OT", JPEGLSLossless, "image/jls"),
    ],
)
def test_an_object_is_compressed_without_loss_for_who_asks(
    client: Client, modality: str, syntax: str, media_type: str
) -> None:
    path = instance_of(client, modality)
    plain = uncompressed(client, path)
    frames = ",".join(str(number + 1) for number in range(int(plain.get("NumberOfFrames", 1))))

    small = dcmread(BytesIO(get(client, path, f"application/dicom; transfer-syntax={syntax}").content))
    received = parts(get(client, f"{path}/frames/{frames}", f'multipart/related; type="{media_type}"'))

    assert small.file_meta.TransferSyntaxUID == syntax
    assert len(small.PixelData) < 0.6 * len(plain.PixelData)
    np.testing.assert_array_equal(small.pixel_array, plain.pixel_array)
    assert {part.content_type for part in received} == {f"{media_type}; transfer-syntax={syntax}"}
    if syntax == JPEGLSLossless:
        np.testing.assert_array_equal(imagecodecs.jpegls_decode(received[0].content), plain.pixel_array)


def test_the_frames_of_a_segmentation_are_its_pixel_data(client: Client) -> None:
    path = instance_of(client, "SEG")
    plain = uncompressed(client, path)
    count = int(plain.NumberOfFrames)

    received = parts(get(client, f"{path}/frames/{','.join(str(number + 1) for number in range(count))}", "*/*"))

    assert b"".join(part.content for part in received) == plain.PixelData[: plain.Rows * plain.Columns * count]
    assert parts(get(client, f"{path}/bulkdata/7FE00010", "*/*")) == received


# Caching...


@pytest.mark.parametrize(
    "path",
    [
        f"{INSTANCES}/{uid(JPEGLSLossless)}",
        f"{INSTANCES}/{uid(JPEGLSLossless)}/frames/1",
        f"{INSTANCES}/{uid(JPEGLSLossless)}/bulkdata/7FE00010",
        f"{INSTANCES}/{uid(JPEGLSLossless)}/metadata",
        f"{INSTANCES}/{uid(JPEGLSLossless)}/rendered",
        f"/dicom-web/studies/{STUDY}/series/{SERIES}/rendered",
        f"/dicom-web/studies/{STUDY}/metadata",
        f"/dicom-web/studies/{STUDY}/series/{SERIES}",
    ],
)
def test_an_answer_is_cached_privately_and_revalidated(client: Client, path: str) -> None:
    first, again = client.get(path), client.get(path)
    fresh = client.get(path, headers={"If-None-Match": first.headers["etag"]})

    assert first.headers["cache-control"] == "private, no-cache"
    assert first.headers["vary"] == "Accept"
    assert first.content == again.content
    assert (fresh.status_code, fresh.content, fresh.headers["etag"]) == (304, b"", first.headers["etag"])


def test_answers_of_different_encodings_have_different_tags(client: Client) -> None:
    path = f"{INSTANCES}/{uid(JPEGLSLossless)}/frames/1"

    tags = {
        get(client, path, f"multipart/related; type=application/octet-stream{syntax}").headers["etag"]
        for syntax in ("", "; transfer-syntax=*")
    }

    assert len(tags) == 2


def test_several_pictures_are_parts_of_one_body(client: Client) -> None:
    path = f"/dicom-web/studies/{STUDY}/series/{SERIES}/rendered"

    received = parts(get(client, path, "*/*"))

    assert [part.content_type for part in received] == ["image/jpeg"] * 8
    assert client.get(path, headers={"Accept": "image/jpeg"}).status_code == 406
    overlay = instance_of(client, "OT").rpartition("/instances/")[0]
    assert get(client, f"{overlay}/rendered", "image/png").headers["content-type"] == "image/png"


@pytest.mark.parametrize("frames", ["1,1", ",".join(["1"] * 100), "1,01", "1,2,1", "", "0x1", "1-2", "1,"])
@pytest.mark.parametrize("path", ["", "/rendered", "/thumbnail"])
def test_a_frame_may_be_named_once(client: Client, frames: str, path: str) -> None:
    """A hundred times the same frame would be an answer of a hundred times its size."""
    answer = client.get(f"{INSTANCES}/{uid(JPEGLSLossless)}/frames/{frames}{path}")
    assert answer.status_code in ((400,) if frames else (400, 404)), answer.json()
