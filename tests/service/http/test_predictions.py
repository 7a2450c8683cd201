import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.http.bodies import Item, Page, Prediction
from service.http.problems import Problem
from service.settings import Limits
from service.storage.incoming import Incoming
from tests.factories import chest, dicom_bytes, encode, noise
from tests.service.serving import Client, serving, settings_for

HEIGHT, WIDTH, PLACES = 300, 400, 4
LIMITS = Limits(
    decode_workers=1,
    max_in_flight=PLACES,
    max_file_bytes=2**20,
    max_body_bytes=3 * 2**20,
    max_client_bytes_in_flight=16 * 2**20,
    max_files=5,
    max_pixels=2**18,
)


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(settings_for(artefact, tmp_path_factory.mktemp("data"), LIMITS)) as client:
        yield client


def file(uid: str, seed: int = 0, **elements: Any) -> bytes:
    return dicom_bytes(noise(HEIGHT, WIDTH, seed=seed), SOPInstanceUID=uid, **elements)


# One file, and the same again...


def test_the_answer_has_the_members_of_the_contract(client: Client) -> None:
    response = client.post(file("2.25.1"))

    body = response.json()
    assert response.status_code == 200
    assert list(body) == [
        *("schema", "notice", "id", "created", "study_instance_uid", "series_instance_uid", "sop_instance_uid"),
        *(
            "accession_number",
            "priority",
            "reason",
            "findings",
            "box",
            "second_look",
            "flags",
            "model",
            "links",
            "timings_ms",
        ),
    ]
    finding = ["label", "probability", "threshold", "positive", "sensitivity", "specificity", "global", "local"]
    assert [list(item) for item in body["findings"]] == [finding] * 14
    assert list(body["model"]) == ["name", "version", "sha256"]
    assert list(body["links"]) == [
        *("self", "image", "overlay", "heat_map", "crop", "acknowledgement", "measurements"),
        *("sr", "segmentation", "secondary_capture", "presentation_state", "binary_segmentation"),
        *("fhir", "hl7", "notification"),
    ]
    assert list(body["timings_ms"]) == ["read", "decode", "prepare", "queue", "infer", "store"]
    assert body["schema"] == "agcnn-triage/prediction/1"
    assert body["notice"] == "Research use only. Not a medical device."
    assert (body["study_instance_uid"], body["series_instance_uid"]) == ("2.25.1001", "2.25.1002")
    assert (body["sop_instance_uid"], body["accession_number"]) == ("2.25.1", "A1")
    Prediction.model_validate_json(response.content)


def test_the_box_is_in_pixels_of_the_posted_image(client: Client) -> None:
    body = client.post(file("2.25.2")).json()

    x0, y0, x1, y1 = body["box"]
    assert 0 <= x0 < x1 <= WIDTH
    assert 0 <= y0 < y1 <= HEIGHT
    assert size(client.get(body["links"]["crop"]).content) == (x1 - x0, y1 - y0)


def test_raw_and_form_give_the_same_record(client: Client) -> None:
    data = file("2.25.3")

    answers = [
        client.post(data),
        client.post(data, "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"),
        client.post(data, "application/octet-stream"),
        client.post_files(("a.dcm", data)),
        client.post_files(("a.dcm", data), part="files"),
    ]

    assert [answer.status_code for answer in answers] == [200] * 5
    assert len({answer.text for answer in answers}) == 1


def test_a_prediction_is_returned_until_it_is_deleted(client: Client) -> None:
    body = client.post(file("2.25.4")).json()
    links = body["links"]

    assert client.get(links["self"]).json() == body
    deleted = client.request("DELETE", links["self"])

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert client.request("DELETE", links["self"]).status_code == 404
    assert [client.get(link).status_code for link in links.values()] == [404] * len(links)


def test_other_pixels_under_the_same_uid_are_409(client: Client) -> None:
    client.post(file("2.25.5"))

    assert_refused(client, file("2.25.5", seed=1), 409, "conflict")


# Several files...


def test_a_bad_file_does_not_affect_the_others(client: Client) -> None:
    files = [("good.dcm", file("2.25.6")), ("bad.txt", b"not DICOM"), ("empty.dcm", b""), ("too.dcm", file("2.25.7"))]

    response = client.post_files(*files)

    items = [Item.model_validate(item) for item in response.json()]
    assert response.status_code == 200
    assert [item.filename for item in items] == [name for name, _ in files]
    assert [item.status for item in items] == [200, 400, 400, 200]
    assert [item.prediction and item.prediction.sop_instance_uid for item in items] == ["2.25.6", None, None, "2.25.7"]
    assert [item.problem and item.problem.code for item in items] == [None, "not_dicom", "empty_body", None]
    assert [sorted(item) for item in response.json()][:2] == [
        ["filename", "prediction", "status"],
        ["filename", "problem", "status"],
    ]


def test_an_unexpected_error_does_not_affect_the_others(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    predict = client.pipeline.predict

    async def fail(file: Incoming) -> object:
        if file.partial.read_bytes() == b"fail":
            raise RuntimeError("a secret")
        return await predict(file)

    monkeypatch.setattr(client.pipeline, "predict", fail)
    response = client.post_files(("a", b"fail"), ("b", file("2.25.8")))

    assert [item["status"] for item in response.json()] == [500, 200]
    assert "secret" not in response.text


def test_several_files_need_only_one_place(client: Client) -> None:
    with client.pipeline.places.spare(PLACES - 1):
        response = client.post_files(*((f"{n}.dcm", file(f"2.25.9{n}")) for n in range(5)))

    assert [item["status"] for item in response.json()] == [200] * 5


# Refusals: each its own status and code, and the next good request is answered...


def assert_refused(client: Client, data: bytes, status: int, code: str, media_type: str = "application/dicom") -> None:
    response = client.post(data, media_type)
    problem = Problem.model_validate_json(response.content)
    codes = [detail.code for detail in problem.errors] if problem.errors else [problem.code]

    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, problem.status, codes) == (status, status, [code])
    assert problem.request_id == response.headers["x-request-id"]
    assert "CANARY" not in response.text.upper()
    assert client.post(file("2.25.10")).status_code == 200


@pytest.mark.parametrize(
    ("elements", "status", "code"),
    [
        ({"PixelData": None}, 400, "pixel_data_missing"),
        ({"Modality": "CT"}, 422, "modality_unsuitable"),
        ({"BodyPartExamined": "HIP"}, 422, "body_part_unsuitable"),
        ({"ViewPosition": "LL"}, 422, "view_unsuitable"),
        ({"NumberOfFrames": 2, "PixelData": bytes(4 * HEIGHT * WIDTH)}, 422, "multi_frame"),
        ({"PresentationIntentType": "FOR PROCESSING"}, 422, "for_processing"),
        ({"StudyInstanceUID": None}, 400, "uid_missing"),
    ],
)
def test_an_unsuitable_file_is_refused(client: Client, elements: dict[str, Any], status: int, code: str) -> None:
    assert_refused(client, file("2.25.11", **elements), status, code)


def test_a_file_that_is_not_dicom_is_refused(client: Client) -> None:
    assert_refused(client, b"%PDF-1.7 " + bytes(1000), 400, "not_dicom")


def test_a_truncated_file_is_refused(client: Client) -> None:
    assert_refused(client, file("2.25.12")[:-1000], 400, "truncated")


def test_an_unsupported_transfer_syntax_is_refused(client: Client) -> None:
    data = file("2.25.13").replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0")

    assert_refused(client, data, 415, "transfer_syntax_unsupported")


def test_too_many_bytes_in_a_file_are_refused(client: Client) -> None:
    assert_refused(client, bytes(2**20 + 1), 413, "file_too_large")


def test_too_many_bytes_in_a_body_are_refused(client: Client) -> None:
    assert_refused(client, bytes(3 * 2**20 + 1), 413, "body_too_large")


def test_too_many_pixels_are_refused(client: Client) -> None:
    assert_refused(client, dicom_bytes(noise(600, 450)), 413, "image_too_large")


def test_all_reasons_are_reported_at_once(client: Client) -> None:
    response = client.post(file("2.25.14", Modality="CT", ViewPosition="LL"))

    assert [detail["code"] for detail in response.json()["errors"]] == ["modality_unsuitable", "view_unsuitable"]


def test_a_body_without_a_length_is_refused_once_it_is_too_large(client: Client) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 2**18
            yield bytes(2**18)

    headers = {"Content-Type": "application/dicom"}
    response = client.request("POST", "/v1/predictions", content=endless(), headers=headers)

    assert (response.status_code, response.json()["code"]) == (413, "file_too_large")
    assert sent <= 2**20 + 2 * 2**18


@pytest.mark.parametrize("media_type", ["", "application/json", "image/png", "multipart/related; boundary=x"])
def test_another_media_type_is_415(client: Client, media_type: str) -> None:
    assert_refused(client, b"{}", 415, "unsupported_media_type", media_type)


def test_an_empty_body_is_400(client: Client) -> None:
    assert_refused(client, b"", 400, "empty_body")


def test_a_form_without_a_file_is_400(client: Client) -> None:
    response = client.request("POST", "/v1/predictions", files={"file": (None, "text")})

    assert (response.status_code, response.json()["code"]) == (400, "no_file")


def test_a_file_in_a_part_with_another_name_is_400(client: Client) -> None:
    good, other = ("a.dcm", file("2.25.15")), ("CANARY.dcm", file("2.25.15"))
    for files in ([("image", other)], [("file", good), ("CANARY", other)]):
        response = client.request("POST", "/v1/predictions", files=files)

        assert (response.status_code, response.json()["code"]) == (400, "unknown_part")
        assert "CANARY" not in response.text


def test_a_truncated_form_is_400(client: Client) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + bytes(2**18) + b"\r\n"
    for body in (b"", part, part + part, part + b"--x"):
        assert_refused(client, body, 400, "truncated_form", "multipart/form-data; boundary=x")
    assert_refused(client, part + b"--x--", 400, "not_dicom", "multipart/form-data; boundary=x")


def test_a_body_that_is_not_a_form_is_400(client: Client) -> None:
    assert_refused(client, b"--y\r\nnothing", 400, "invalid_request", "multipart/form-data; boundary=x")
    assert_refused(client, b"--x\r\nnothing", 400, "invalid_request", "multipart/form-data")


def test_too_many_files_are_400(client: Client) -> None:
    response = client.post_files(*((f"{n}.dcm", b"x") for n in range(6)))

    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")


def test_without_a_free_place_it_is_503_with_retry_after(client: Client) -> None:
    body = client.post(file("2.25.16")).json()
    with client.pipeline.places.spare(PLACES):
        refused = [client.post(file("2.25.16")), client.get(body["links"]["overlay"])]
        assert client.get(body["links"]["self"]).status_code == 200

    for response in refused:
        assert (response.status_code, response.json()["code"]) == (503, "overloaded")
        assert int(response.headers["retry-after"]) > 0
    assert client.post(file("2.25.16")).json() == body


def test_simultaneous_requests_are_answered_or_503(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare, may_go_on = client.pipeline.predictor.prepare, asyncio.Event()

    async def held(path: Path) -> Any:
        await may_go_on.wait()
        return await prepare(path)

    async def post(number: int) -> int:
        headers = {"Content-Type": "application/dicom"}
        response = await client.http.post("/v1/predictions", content=file(f"2.25.17{number}"), headers=headers)
        return response.status_code

    async def at_once() -> list[int]:
        posts = [asyncio.create_task(post(number)) for number in range(12)]
        async with asyncio.timeout(60):
            while sum(post.done() for post in posts) < 12 - PLACES:
                await asyncio.sleep(0.01)
        may_go_on.set()
        return await asyncio.gather(*posts)

    monkeypatch.setattr(client.pipeline.predictor, "prepare", held)
    statuses = client.runner.run(at_once())

    assert sorted(statuses) == [200] * PLACES + [503] * (12 - PLACES)
    assert client.post(file("2.25.10")).status_code == 200


def test_a_slow_upload_holds_no_place(client: Client) -> None:
    async def slow_and_quick() -> tuple[int, list[int]]:
        go_on = asyncio.Event()

        async def halves(data: bytes) -> AsyncIterator[bytes]:
            yield data[: len(data) // 2]
            await go_on.wait()
            yield data[len(data) // 2 :]

        async def post(content: bytes | AsyncIterator[bytes]) -> int:
            headers = {"Content-Type": "application/dicom"}
            return (await client.http.post("/v1/predictions", content=content, headers=headers)).status_code

        slow = [asyncio.create_task(post(halves(file("2.25.10")))) for _ in range(PLACES)]
        await asyncio.sleep(0.1)
        quick = await post(file("2.25.10"))
        go_on.set()
        return quick, await asyncio.gather(*slow)

    assert client.runner.run(slow_and_quick()) == (200, [200] * PLACES)


def test_too_many_bytes_at_once_are_503_before_the_body_is_read(client: Client) -> None:
    async def body() -> AsyncIterator[bytes]:
        pytest.fail("the body was read")
        yield b""

    with client.pipeline.accepting("address 127.0.0.1", LIMITS.max_client_bytes_in_flight - 10):
        headers = {"Content-Type": "application/dicom", "Content-Length": "11"}
        refused = client.request("POST", "/v1/predictions", content=body(), headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
    assert int(refused.headers["retry-after"]) > 0
    assert client.post(file("2.25.10")).status_code == 200


# Lists...


def test_the_pages_hold_all_predictions_newest_first(client: Client) -> None:
    for number in range(3):
        client.post(file(f"2.25.18{number}"))
    listed: list[Prediction] = []
    query: dict[str, Any] = {"limit": 2}
    for _ in range(100):  # more pages than there are predictions
        page = Page.model_validate_json(client.get("/v1/predictions", params=query).content)
        assert len(page.items) <= 2
        listed += page.items
        if page.next is None:
            break
        query["cursor"] = page.next

    assert page.next is None
    assert [item.sop_instance_uid for item in listed[:3]] == ["2.25.182", "2.25.181", "2.25.180"]
    assert [item.created for item in listed] == sorted((item.created for item in listed), reverse=True)
    assert len({item.id for item in listed}) == len(listed)


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "cursor=x", f"cursor={'x' * 201}"])
def test_an_invalid_page_parameter_is_400(client: Client, query: str) -> None:
    response = client.get(f"/v1/predictions?{query}")

    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("id", ["0" * 32, "x", "..%2f..%2fetc", "%00"])
def test_an_unknown_id_is_404(client: Client, id: str) -> None:
    for path in (f"/v1/predictions/{id}", f"/v1/predictions/{id}/overlay.png"):
        response = client.get(path)
        assert (response.status_code, response.json()["code"]) == (404, "not_found")


# Files from scanners...

OUTCOMES = {  # in the order of posting, as a stored image may conflict with a later one
    "agfa_dx_skeleton_nopixeldata_forpresentation": (400, ["pixel_data_missing"]),
    "fuji_cr_chest_pa_mono1_10bit": (200, []),
    "fuji_cr_chest_pa_mono1_10bit_noPart10header": (200, []),
    "neg_cr_teeth_mono1_modalityLUT_jpegll": (422, ["body_part_unsuitable"]),
    "neg_fuji_cr_hip_mono2_10bit_RG2_J2KI": (422, ["body_part_unsuitable"]),
    "neg_fuji_cr_hip_mono2_10bit_RG2_J2KR": (422, ["body_part_unsuitable"]),
    "neg_fuji_cr_hip_mono2_10bit_RG2_JLSL": (422, ["body_part_unsuitable"]),
    "neg_fuji_cr_hip_mono2_10bit_RG2_JPLL": (422, ["body_part_unsuitable"]),
    "neg_fuji_cr_hip_mono2_10bit_RG2_JPLY": (422, ["body_part_unsuitable"]),
    "neg_fuji_cr_hip_mono2_10bit_RG2_RLE": (422, ["body_part_unsuitable"]),
    "philips_cr_chest_pa_mono1_15bit_RG1_JLSN": (200, []),
    "siim_nih_cr_chest_pa_mono2_jpegbaseline": (200, []),
    "siim_nih_fake_mono1_jpegbaseline": (409, ["conflict"]),  # same UID and stored pixels, other polarity
    "udacity_nih_test1": (200, []),
    "udacity_nih_test2": (200, []),
    "udacity_nih_test3": (200, []),
}


@pytest.mark.realdata
def test_real_files_have_the_expected_outcomes(artefact: Path, tmp_path: Path, realdata: Path) -> None:
    files = sorted((realdata / "dicom").glob("*.dcm"))
    with serving(settings_for(artefact, tmp_path)) as client:
        bodies = {file.stem: client.post(file.read_bytes()).json() for file in files}

    assert {name: outcome(body) for name, body in bodies.items()} == OUTCOMES
    fuji = [body["id"] for name, body in bodies.items() if name.startswith("fuji")]
    assert fuji[0] == fuji[1]


def outcome(body: dict[str, Any]) -> tuple[int, list[str]]:
    details = body.get("errors", [body] if "code" in body else [])
    return body.get("status", 200), [detail["code"] for detail in details]


# Pictures...


def size(png: bytes) -> tuple[int, int]:
    with Image.open(BytesIO(png)) as image:
        return image.size


@pytest.fixture(scope="module")
def links(client: Client) -> dict[str, str]:
    links: dict[str, str] = client.post(file("2.25.19")).json()["links"]
    return links


@pytest.mark.parametrize(("part", "mode"), [("overlay", "RGB"), ("image", "L"), ("heat_map", "I;16")])
def test_a_picture_has_the_size_of_the_image_or_the_requested_width(
    client: Client, links: dict[str, str], part: str, mode: str
) -> None:
    response = client.get(links[part])
    with Image.open(BytesIO(response.content)) as image:
        assert (image.format, image.mode, image.width) == ("PNG", mode, WIDTH)
        assert image.height > HEIGHT if part == "overlay" else image.height == HEIGHT  # the legend is below it

    assert response.headers["content-type"] == "image/png"
    wide, high = size(client.get(f"{links[part]}?width=200").content)
    assert wide == 200
    assert high > 150 if part == "overlay" else high == 150


def test_the_image_shows_the_display_values(client: Client, links: dict[str, str]) -> None:
    with Image.open(BytesIO(client.get(links["image"]).content)) as image:
        grey = np.asarray(image, float)

    assert np.abs(grey - noise(HEIGHT, WIDTH) / 4095 * 255).max() <= 1


def test_every_option_changes_the_overlay(client: Client, links: dict[str, str]) -> None:
    queries = ("", "?finding=Mass", "?alpha=0.9", "?colormap=inferno", "?box=0", "?map=heat_map")

    pictures = {client.get(links["overlay"] + query).content for query in queries}

    assert len(pictures) == len(queries)
    assert client.get(links["overlay"] + "?box=1&alpha=0.6").content == client.get(links["overlay"]).content


def test_an_unknown_finding_is_404(client: Client, links: dict[str, str]) -> None:
    response = client.get(links["overlay"] + "?finding=Scoliosis")

    assert (response.status_code, response.json()["code"]) == (404, "unknown_finding")


@pytest.mark.parametrize("query", ["alpha=2", "alpha=nan", "colormap=jet", "box=yes", "width=0", "width=100000"])
def test_an_invalid_overlay_option_is_400(client: Client, links: dict[str, str], query: str) -> None:
    response = client.get(f"{links['overlay']}?{query}")

    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("part", ["overlay", "image", "heat_map", "crop"])
def test_an_unknown_parameter_of_a_picture_is_400(client: Client, links: dict[str, str], part: str) -> None:
    response = client.get(f"{links[part]}?label=Mass")

    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")
    assert client.get(f"{links[part]}?width=15").status_code == 400


def test_an_unchanged_picture_is_not_sent_again(client: Client, links: dict[str, str]) -> None:
    first = client.get(links["overlay"])
    tag = {"If-None-Match": first.headers["etag"]}

    again = client.get(links["overlay"], headers=tag)
    other = client.get(links["overlay"] + "?alpha=0.5", headers=tag)

    assert first.headers["cache-control"] == "private, no-cache"
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert other.status_code == 200


# Restarts, and the log...


def test_predictions_and_pictures_survive_a_restart(artefact: Path, tmp_path: Path) -> None:
    settings = settings_for(artefact, tmp_path)
    with serving(settings) as client:
        body = client.post(file("2.25.1")).json()
        overlay = client.get(body["links"]["overlay"])

    with serving(settings) as client:
        assert client.get(body["links"]["self"]).json() == body
        assert client.get(body["links"]["overlay"]).content == overlay.content
        assert client.post(file("2.25.1")).json() == body


def test_no_value_of_a_data_set_is_logged(client: Client, log: StringIO) -> None:
    canaries = {
        "PatientName": "Canary^Tweety",
        "PatientID": "CANARY-17",
        "PatientBirthDate": "19420502",
        "AccessionNumber": "CANARY-ACC",
        "StudyInstanceUID": "2.25.77777001",
        "SOPInstanceUID": "2.25.77777002",
        "StudyDescription": "CANARY STUDY",
    }
    data_sets = [
        canaries,
        canaries | {"Modality": "CANARY"},
        canaries | {"WindowWidth": None, "BodyPartExamined": "CANARY"},
    ]
    for elements in data_sets:
        client.post(encode(chest(noise(HEIGHT, WIDTH), **elements)))
        client.post_files(("CANARY.dcm", encode(chest(noise(HEIGHT, WIDTH), **elements))), ("CANARY", b"CANARY"))
    client.post(b"CANARY")
    client.get("/v1/predictions/CANARY")
    client.get("/v1/predictions?cursor=CANARY")
    client.get("/CANARY", headers={"X-Request-Id": "CANARY^17"})

    lines = log.getvalue().splitlines()
    assert [json.loads(line)["event"] for line in lines].count("request") == 10
    for value in ("canary", "tweety", "19420502", "77777001", "77777002"):
        assert not [line for line in lines if value in line.lower()]
