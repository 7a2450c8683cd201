"""STOW-RS with handwritten bodies; `test_client.py` uses an independent client."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.dicom_web import store
from service.settings import Limits
from service.storage.incoming import Incoming
from tests.factories import SERIES, STUDY, chest, encode, noise
from tests.service.serving import Client, serving, settings_for

BOUNDARY = "0f3cf5c0-70e0-41ef-baef-c6f9f65ec3e1"
RELATED = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'
LIMITS = Limits(decode_workers=1, max_in_flight=2, max_file_bytes=2**19, max_body_bytes=2**20, max_store_bytes=2**21)
DX = "1.2.840.10008.5.1.4.1.1.1.1"


def radiograph(number: int, seed: int = 1, **elements: Any) -> bytes:
    return encode(chest(noise(seed=seed), SOPInstanceUID=f"2.25.3000{number}", **elements))


def body(*parts: bytes, head: bytes = b"Content-Type: application/dicom\r\n") -> bytes:
    encoded = (b"--" + BOUNDARY.encode() + b"\r\n" + head + b"\r\n" + part + b"\r\n" for part in parts)
    return b"".join(encoded) + b"--" + BOUNDARY.encode() + b"--\r\n"


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(settings_for(artefact, tmp_path_factory.mktemp("data"), LIMITS)) as client:
        yield client


def post(client: Client, content: Any, path: str = "", **headers: str) -> httpx.Response:
    fields = {"Content-Type": RELATED} | {name.replace("_", "-"): value for name, value in headers.items()}
    return client.request("POST", f"/dicom-web/studies{path}", content=content, headers=fields)


def values(module: dict[str, Any], tag: str) -> list[Any]:
    return list(module.get(tag, {}).get("Value", []))


def reasons(response: httpx.Response) -> list[int]:
    items = [item for tag in ("00081198", "0008119A") for item in values(response.json(), tag)]
    return [reason for item in items for reason in values(item, "00081197")]


def stored(response: httpx.Response) -> list[str]:
    return [uid for item in values(response.json(), "00081199") for uid in values(item, "00081155")]


def stored_uids(client: Client) -> list[str]:
    return [item["sop_instance_uid"] for item in client.get("/v1/predictions?limit=500").json()["items"]]


def test_all_stored_is_200_with_the_response_module(client: Client) -> None:
    response = post(client, body(radiograph(1), radiograph(2)), Accept="*/*")

    url = f"http://localhost/dicom-web/studies/{STUDY}"
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/dicom+json"
    assert "warning" not in response.headers
    assert response.json() == {
        "00081190": {"vr": "UR", "Value": [url]},
        "00081199": {
            "vr": "SQ",
            "Value": [
                {
                    "00081150": {"vr": "UI", "Value": [DX]},
                    "00081155": {"vr": "UI", "Value": [f"2.25.3000{number}"]},
                    "00081190": {"vr": "UR", "Value": [f"{url}/series/{SERIES}/instances/2.25.3000{number}"]},
                }
                for number in (1, 2)
            ],
        },
    }
    assert {"2.25.30001", "2.25.30002"} <= set(stored_uids(client))


def test_a_single_file_needs_no_multipart_body(client: Client) -> None:
    response = post(client, radiograph(3), Content_Type="application/dicom")

    assert (response.status_code, stored(response)) == (200, ["2.25.30003"])


@pytest.mark.parametrize("size", [1, 7, 1000, 65_537])
def test_a_chunked_body_is_read_whatever_its_chunks(client: Client, size: int) -> None:
    whole = body(radiograph(4)) if size > 1 else body(b"short")

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(whole), size):
            yield whole[start : start + size]

    response = post(client, chunks())

    assert response.status_code == (200 if size > 1 else 409)


def test_some_stored_is_202_with_one_item_for_each_failure(client: Client) -> None:
    lateral, ct = radiograph(6, ViewPosition="LL"), radiograph(7, Modality="CT")

    response = post(client, body(radiograph(5), b"no DICOM", lateral, ct))

    module = response.json()
    assert (response.status_code, stored(response)) == (202, ["2.25.30005"])
    assert values(module, "00081198") == [
        {
            "00081150": {"vr": "UI", "Value": [DX]},
            "00081155": {"vr": "UI", "Value": [f"2.25.3000{number}"]},
            "00081197": {"vr": "US", "Value": [reason]},
        }
        for number, reason in ((6, 0xA900), (7, 0x0122))
    ]
    assert values(module, "0008119A") == [{"00081197": {"vr": "US", "Value": [0xC000]}}]
    assert [text.partition(": ")[0] for text in response.headers.get_list("warning")] == [
        f'299 agcnn-triage "part {place}' for place in (2, 3, 4)
    ]


def test_none_stored_is_409(client: Client) -> None:
    response = post(client, body(radiograph(8, ViewPosition="LL")))

    assert (response.status_code, reasons(response)) == (409, [0xA900])
    assert values(response.json(), "00081190") == []


def test_instances_of_another_study_than_the_url_fail(client: Client) -> None:
    matching = post(client, body(radiograph(9)), f"/{STUDY}")
    other = post(client, body(radiograph(10)), "/2.25.4711")
    mixed = post(client, body(radiograph(11, StudyInstanceUID="2.25.4711"), radiograph(12)), "/2.25.4711")

    assert matching.status_code == 200
    assert (other.status_code, reasons(other)) == (409, [0xA900])
    assert (mixed.status_code, stored(mixed), reasons(mixed)) == (202, ["2.25.300011"], [0xA900])
    assert not {"2.25.300010", "2.25.300012"} & set(stored_uids(client))


def test_a_uid_with_other_pixels_fails_with_c000_not_as_a_duplicate(client: Client) -> None:
    post(client, body(radiograph(13)))
    again, other = post(client, body(radiograph(13))), post(client, body(radiograph(13, seed=2)))

    assert again.status_code == 200
    assert (other.status_code, reasons(other)) == (409, [0xC000])


def test_an_object_without_pixels_has_an_unsupported_class(client: Client) -> None:
    dataset = chest(noise(), SOPInstanceUID="2.25.300014")
    del dataset.PixelData

    response = post(client, body(encode(dataset)))

    assert (response.status_code, reasons(response)) == (409, [0x0122])
    assert values(values(response.json(), "00081198")[0], "00081155") == ["2.25.300014"]


def test_a_part_of_another_media_type_fails_alone(client: Client) -> None:
    other = body(b"<a/>", head=b"Content-Type: application/xml\r\n").removesuffix(b"--\r\n") + b"\r\n"

    response = post(client, other + body(radiograph(15)).partition(b"\r\n")[2])

    assert (response.status_code, stored(response), reasons(response)) == (202, ["2.25.300015"], [0xC000])


def test_a_part_over_the_limit_fails_alone_and_is_not_to_be_sent_again(client: Client) -> None:
    large = bytes(LIMITS.max_file_bytes + 1)

    both, alone = post(client, body(large, radiograph(16))), post(client, body(large))

    assert (both.status_code, stored(both), reasons(both)) == (202, ["2.25.300016"], [0xC000])
    assert (alone.status_code, reasons(alone)) == (409, [0xC000])


def test_a_store_may_be_larger_than_other_bodies(client: Client) -> None:
    many = body(*(radiograph(100 + number) for number in range(10)))
    assert LIMITS.max_body_bytes < len(many) < LIMITS.max_store_bytes

    response = post(client, many)

    assert (response.status_code, len(stored(response))) == (200, 10)


def test_a_body_with_a_content_length_over_the_limit_is_413(client: Client) -> None:
    response = post(client, bytes(LIMITS.max_store_bytes + 1))

    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


def test_parts_before_the_size_limit_stay_stored(client: Client) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield body(radiograph(17)).removesuffix(b"--\r\n") + b"\r\n\r\n"
        for _ in range(3):
            yield bytes(2**20)

    response = post(client, chunks())

    assert (response.status_code, stored(response), reasons(response)) == (202, ["2.25.300017"], [0xC000])
    assert "body_too_large" in response.headers["warning"]


def test_parts_over_the_maximum_number_are_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_PARTS", 1)

    response = post(client, body(radiograph(18), radiograph(19), radiograph(20)))

    assert (response.status_code, stored(response), reasons(response)) == (202, ["2.25.300018"], [0xC000])


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"no boundary at all",
        b"--other\r\n\r\nx\r\n--other--",
        body(),
        body(b"x")[:-8],
        b"--" + BOUNDARY.encode() + b"\r\nno colon in this header\r\n\r\nx",
    ],
    ids=["empty", "text", "other", "no part", "cut", "header"],
)
def test_invalid_syntax_is_400_if_nothing_was_stored(client: Client, broken: bytes) -> None:
    response = post(client, broken)

    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"


def test_the_complete_parts_of_a_truncated_body_are_acknowledged(client: Client) -> None:
    whole = body(radiograph(21), radiograph(22))

    response = post(client, whole[:-1000])

    assert (response.status_code, stored(response), reasons(response)) == (202, ["2.25.300021"], [0xC000])
    assert "multipart_truncated" in response.headers["warning"]
    assert "2.25.300022" not in stored_uids(client)


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        'multipart/related; type="application/dicom+json"; boundary=b',
        "multipart/form-data; boundary=b",
        "",
    ],
)
def test_other_media_types_are_415(client: Client, media_type: str) -> None:
    response = post(client, body(radiograph(23)), Content_Type=media_type)

    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


def test_a_boundary_is_required(client: Client) -> None:
    assert post(client, body(b"x"), Content_Type='multipart/related; type="application/dicom"').status_code == 400


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/dicom+json", 200),
        ("application/json", 200),
        ("application/dicom+xml, */*;q=0.1", 200),
        ("application/dicom+xml", 406),
        ("image/png", 406),
        ("application/dicom+json;q=0", 406),
    ],
)
def test_the_answer_is_json_or_406(client: Client, accept: str, status: int) -> None:
    assert post(client, body(radiograph(24)), Accept=accept).status_code == status


def test_without_a_free_place_it_is_503_before_the_body_is_read(client: Client) -> None:
    with client.pipeline.places.spare(LIMITS.max_in_flight):
        response = post(client, body(radiograph(25)))

    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert "2.25.300025" not in stored_uids(client)


def test_when_the_disk_fills_the_remaining_parts_fail(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from service.errors import StorageFull

    def keep(_: Incoming) -> None:
        raise StorageFull("no room")

    post(client, body(radiograph(26)))
    monkeypatch.setattr(Incoming, "keep", keep)

    some, none = post(client, body(radiograph(26), radiograph(27))), post(client, body(radiograph(27)))

    assert (some.status_code, stored(some), reasons(some)) == (202, ["2.25.300026"], [0xA700])
    assert (none.status_code, none.headers["retry-after"], reasons(none)) == (503, "5", [0xA700])


def test_no_answer_quotes_a_value(client: Client) -> None:
    response = post(client, body(radiograph(28, ViewPosition="TWEETY"), radiograph(29, Modality="TWEETY")))

    assert response.status_code == 409
    assert "TWEETY" not in json.dumps([response.text, list(response.headers.items())])
