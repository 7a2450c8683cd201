"""Every resource names its methods, answers HEAD wherever it answers GET, and takes no encoded body."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from service.http.app import ROUTERS
from tests.factories import INSTANCE, SERIES, STUDY, chest, encode, ramp
from tests.service.serving import Client, serving, settings_for

INSTANCE_PATH = f"/dicom-web/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}"
METHODS = {"POST", "PUT", "PATCH"}
WITHOUT_BODY = {"/v1/predictions/{id}/opened"}  # what is sent with it is not read
ROUTES = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(settings_for(artefact, tmp_path_factory.mktemp("data"))) as client:
        assert client.post(encode(chest(ramp(256, 300)))).status_code == 200
        yield client


@pytest.fixture(scope="module")
def id(client: Client) -> str:
    return str(client.get("/v1/predictions").json()["items"][0]["id"])


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/dicom-web/studies", "GET, HEAD, OPTIONS, POST"),
        (f"/dicom-web/studies/{STUDY}", "GET, HEAD, OPTIONS, POST"),
        (INSTANCE_PATH, "GET, HEAD, OPTIONS"),
        ("/v1/predictions", "GET, HEAD, OPTIONS, POST"),
        ("/v1/predictions/none/send", "OPTIONS, POST"),
        ("/", "GET, HEAD, OPTIONS"),
        ("/openapi.json", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_refused_method_and_options_name_all_methods_of_the_resource(client: Client, path: str, allowed: str) -> None:
    refused, options = client.request("DELETE", path), client.request("OPTIONS", path)

    assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")
    assert (options.status_code, options.content) == (204, b"")
    assert refused.headers["allow"] == options.headers["allow"] == allowed


def test_an_unknown_path_has_no_methods(client: Client) -> None:
    for method in ("HEAD", "OPTIONS", "GET"):
        assert client.request(method, "/nowhere").status_code == 404


def test_head_is_get_without_a_body(client: Client, id: str) -> None:
    """Of every resource; only the head of an endless answer can be compared with nothing."""
    values = {
        "id": id,
        "study": STUDY,
        "series": SERIES,
        "instance": INSTANCE,
        "frames": "1",
        "bulk_data": "7FE00010",
        "path": "index.html",
    }
    paths = sorted({route.path.replace(":path}", "}") for route in ROUTES if "GET" in (route.methods or ())})
    assert len(paths) > 40

    for path in paths:
        head = client.request("HEAD", path.format_map(values))
        assert head.content == b"", path
        if path.endswith("events"):
            assert head.status_code == 200
            continue
        got = client.get(path.format_map(values))
        assert head.status_code == got.status_code, path
        assert head.headers.get("content-type", "") == got.headers.get("content-type", ""), path


def test_an_error_of_head_has_no_body(client: Client) -> None:
    answer = client.request("HEAD", "/v1/predictions/none")

    assert (answer.status_code, answer.content) == (404, b"")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (method, route.path)
        for route in ROUTES
        for method in sorted(METHODS & (route.methods or set()))
        if route.path not in WITHOUT_BODY
    ],
)
def test_a_compressed_body_is_415(client: Client, id: str, method: str, path: str) -> None:
    values = {"id": id, "study": STUDY}
    body = gzip.compress(encode(chest(ramp(256, 300))))
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/dicom"}

    answer = client.request(method, path.format_map(values), content=body, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_identity_is_no_encoding(client: Client) -> None:
    headers = {"Content-Encoding": "identity", "Content-Type": "application/dicom"}
    body = encode(chest(ramp(256, 300)))

    assert client.request("POST", "/v1/predictions", content=body, headers=headers).status_code == 200
