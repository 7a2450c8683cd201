"""Web pages of other origins: the exact headers of each answer."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.http.app import create_app
from service.http_settings import Http
from tests.service.serving import Client, client_of, settings_for

VIEWER, STRANGER = "https://viewer.example", "https://elsewhere.example"
PREFLIGHT = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "accept,authorization"}
EXPOSED = "ETag, Retry-After, Warning, WWW-Authenticate, X-Pixels, X-Request-Id"


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    settings = settings_for(artefact, tmp_path_factory.mktemp("data"))
    http = Http(host="0.0.0.0", cors_origins=(VIEWER, "http://localhost:3000"))
    with client_of(create_app(settings.model_copy(update={"http": http}))) as client:
        yield client


def cors(client: Client, method: str, path: str, **headers: str) -> dict[str, str]:
    """Return the headers of an answer that concern other origins."""
    answer = client.request(method, path, headers=headers)
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize("origin", [VIEWER, "http://localhost:3000"])
def test_a_preflight_of_a_listed_origin_is_answered_without_a_key(client: Client, origin: str) -> None:
    answer = client.request("OPTIONS", "/dicom-web/studies", headers=PREFLIGHT | {"Origin": origin})

    assert answer.status_code == 200
    assert {name: value for name, value in answer.headers.items() if name.startswith("access-control-")} == {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": "GET, HEAD, POST, PATCH, DELETE",
        "access-control-allow-headers": "Accept, Accept-Language, Authorization, Content-Language, Content-Type, "
        "If-None-Match, X-Request-Id",
        "access-control-max-age": "600",
    }
    assert "Origin" in answer.headers["vary"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "origin", [STRANGER, "null", "https://viewer.example.evil.example", "http://viewer.example", "*"]
)
def test_a_preflight_of_another_origin_is_not_allowed(client: Client, origin: str) -> None:
    answer = client.request("OPTIONS", "/dicom-web/studies", headers=PREFLIGHT | {"Origin": origin})

    assert answer.status_code == 400
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(("method", "headers"), [("PUT", "accept"), ("GET", "x-other"), ("TRACE", "")])
def test_a_preflight_for_another_method_or_header_is_refused(client: Client, method: str, headers: str) -> None:
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    assert client.request("OPTIONS", "/v1/model", headers=asked | {"Origin": VIEWER}).status_code == 400


def test_a_listed_origin_may_read_answers_and_refusals_and_sends_its_key_itself(client: Client) -> None:
    key = client.app.state.keys.add("viewer", ["read"])
    allowed = {"access-control-allow-origin": VIEWER, "access-control-expose-headers": EXPOSED}

    assert cors(client, "GET", "/v1/model", Origin=VIEWER, Authorization=f"Bearer {key}") == allowed
    assert cors(client, "GET", "/v1/model", Origin=VIEWER) == allowed  # 401
    assert cors(client, "GET", "/v1/nothing", Origin=VIEWER) == allowed  # 404
    assert client.get("/v1/model", headers={"Origin": VIEWER}).status_code == 401
    assert "Origin" in client.get("/v1/model", headers={"Origin": VIEWER}).headers["vary"]


def test_another_origin_may_read_nothing(client: Client) -> None:
    for path in ("/v1/model", "/livez", "/"):
        assert "access-control-allow-origin" not in cors(client, "GET", path, Origin=STRANGER)


def test_no_answer_allows_credentials_that_the_browser_keeps(client: Client) -> None:
    for method in ("GET", "OPTIONS"):
        headers = PREFLIGHT | {"Origin": VIEWER}
        assert "access-control-allow-credentials" not in client.request(method, "/v1/model", headers=headers).headers


@pytest.mark.parametrize(
    "wrong",
    ["*", "https://*", "null", "viewer.example", "https://viewer.example/", "https://a.example/x", "", "ftp://a"],
)
def test_a_setting_that_is_no_origin_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError, match="cors_origins"):
        Http(cors_origins=(wrong,))


def test_without_keys_a_listed_origin_is_admitted_and_another_host_is_not(artefact: Path, tmp_path: Path) -> None:
    """A page of a listed origin may use the service of the person's own machine; DNS rebinding changes `Host`."""
    settings = settings_for(artefact, tmp_path).model_copy(update={"http": Http(cors_origins=(VIEWER,))})
    with client_of(create_app(settings)) as client:
        assert client.get("/v1/model", headers={"Origin": VIEWER}).status_code == 200
        for refused in ({"Origin": STRANGER}, {"Host": "viewer.example", "Origin": VIEWER}, {"Host": VIEWER}):
            answer = client.get("/v1/model", headers=refused)
            assert (answer.status_code, answer.json()["code"]) == (403, "foreign_host")
