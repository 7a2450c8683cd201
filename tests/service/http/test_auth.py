import asyncio
import json
import time
from collections.abc import Iterable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.http import auth, events
from service.http.app import create_app
from service.http.auth import OPEN, is_loopback, requires_keys
from service.http.problems import Problem
from service.http_settings import Http
from service.settings import Limits, Settings
from service.storage.keys import SCOPES, Scope
from tests.service.serving import LIMITS, Client, client_of, settings_for

NETWORK = Http(host="0.0.0.0")
SCOPE_OF: dict[tuple[str, str], Scope] = {
    ("POST", "/v1/predictions"): "predict",
    ("GET", "/v1/predictions"): "read",
    ("GET", "/v1/predictions/{id}"): "read",
    ("DELETE", "/v1/predictions/{id}"): "admin",
    ("PATCH", "/v1/predictions/{id}"): "predict",
    ("GET", "/v1/model"): "read",
    ("GET", "/v1/events"): "read",
    **{("GET", f"/v1/{path}"): "read" for path in ("worklist", "worklist.csv", "worklist/{id}")},
    **{("POST", f"/v1/{path}"): "read" for path in ("worklist.csv", "worklist/search")},
    **{("GET", f"/v1/predictions/{{id}}/{part}"): "read" for part in ("pixels", "maps.json")},
    ("POST", "/v1/predictions/{id}/send"): "predict",
    ("GET", "/v1/predictions/{id}/sends"): "read",
    ("POST", "/v1/predictions/{id}/acknowledgement"): "predict",
    ("GET", "/v1/predictions/{id}/acknowledgement"): "read",
    ("GET", "/v1/predictions/{id}/priors"): "read",
    ("POST", "/v1/predictions/{id}/measurements"): "predict",
    ("GET", "/v1/predictions/{id}/measurements"): "read",
    ("DELETE", "/v1/predictions/{id}/measurements/{measurement}"): "predict",
    ("POST", "/v1/predictions/{id}/opened"): "predict",
    ("POST", "/v1/predictions/{id}/opinions"): "predict",
    ("GET", "/v1/predictions/{id}/opinions"): "read",
    **{("GET", f"/v1/{path}"): "read" for path in ("statistics", "statistics.csv")},
    ("POST", "/dicom-web/studies"): "predict",
    ("POST", "/dicom-web/studies/{study}"): "predict",
    **{
        ("GET", f"/dicom-web/{path}"): "read"
        for path in (
            *("studies", "series", "instances", "studies/{study}/series", "studies/{study}/instances"),
            *(f"studies/{{study}}{rest}" for rest in ("", "/metadata", "/rendered", "/thumbnail")),
            *(
                f"studies/{{study}}/series/{{series}}{rest}"
                for rest in ("", "/instances", "/metadata", "/rendered", "/thumbnail")
            ),
            *(
                f"studies/{{study}}/series/{{series}}/instances/{{instance}}{rest}"
                for rest in (
                    *("", "/metadata", "/rendered", "/thumbnail"),
                    *("/frames/{frames}", "/frames/{frames}/rendered", "/frames/{frames}/thumbnail"),
                    "/bulkdata/{bulk_data}",
                )
            ),
        )
    },
    **{("GET", f"/v1/predictions/{{id}}/{part}.png"): "read" for part in ("overlay", "image", "heat_map", "crop")},
    **{
        ("GET", f"/v1/predictions/{{id}}/{name}"): "read"
        for name in (
            *("sr.dcm", "segmentation.dcm", "secondary_capture.dcm", "presentation_state.dcm"),
            *("binary_segmentation.dcm", "fhir.json", "hl7.hl7", "notification.json"),
        )
    },
}


def with_http(settings: Settings, http: Http, limits: Limits = LIMITS) -> Settings:
    return settings.model_copy(update={"http": http, "limits": limits})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def client(artefact: Path, folder: Path) -> Iterator[Client]:
    """A service on a network; tests do not wait until it is ready, because keys are checked first."""
    with client_of(create_app(with_http(settings_for(artefact, folder), NETWORK))) as client:
        yield client


@pytest.fixture(scope="module")
def keys(client: Client) -> dict[str, str]:
    return {scope: client.app.state.keys.add(f"only-{scope}", [scope]) for scope in SCOPES}


def ask(client: Client, method: str, path: str, key: str | None = None) -> httpx.Response:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    path = path.replace("{id}", "0" * 32).replace("{path:path}", "index.html").replace("{frames}", "1")
    return client.request(method, path, headers=headers)


# Every route declares its scope...


def declared(app: FastAPI) -> dict[tuple[str, str], list[str]]:
    """Scopes of each operation in the OpenAPI document."""
    return {
        (method.upper(), path): [scope for entry in operation.get("security", []) for scope in entry["key"]]
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
    }


def walk(routes: Iterable[Any]) -> Iterator[tuple[str, list[str] | None]]:
    """Paths that a request can reach, with the scopes of their dependencies; None where a route can have none."""
    for route in routes:
        inner = getattr(getattr(route, "original_router", route), "routes", None)
        if inner is not None:
            yield from walk(inner)
            continue
        dependencies = getattr(route, "dependencies", None)
        scopes = None
        if dependencies is not None:
            scopes = sorted(auth.declared_scopes(dependencies))
        yield route.path, scopes


def test_every_documented_operation_declares_its_scope(client: Client) -> None:
    for (method, path), scopes in declared(client.app).items():
        assert scopes == [] if path in OPEN else len(scopes) == 1, f"{method} {path}"
        assert set(scopes) <= set(SCOPES)


def test_every_operation_has_the_intended_scope(client: Client) -> None:
    scopes = {operation: scopes[0] for operation, scopes in declared(client.app).items() if scopes}

    assert scopes == SCOPE_OF


def test_every_reachable_route_declares_its_scope_or_is_open(client: Client) -> None:
    routes = list(walk(client.app.routes))

    documented = {path.replace(":path}", "}") for path, _ in routes}
    assert documented | {path for path, _ in routes} >= OPEN | {path for _, path in SCOPE_OF}
    for path, scopes in routes:
        assert not scopes if path in OPEN else len(scopes or []) == 1, path


def test_the_walk_reports_a_route_without_a_scope() -> None:
    app = FastAPI(openapi_url=None)
    app.add_api_route("/forgotten", lambda: None)

    assert list(walk(app.routes)) == [("/forgotten", [])]


# ... and it is checked


@pytest.mark.parametrize(("method", "path"), SCOPE_OF)
def test_a_request_without_a_key_is_401(client: Client, method: str, path: str) -> None:
    refused = ask(client, method, path)

    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
    assert refused.headers["www-authenticate"] == 'Bearer realm="triage"'
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["x-content-type-options"] == "nosniff"
    Problem.model_validate_json(refused.content)


@pytest.mark.parametrize(("method", "path"), SCOPE_OF)
def test_a_key_with_another_scope_is_403_and_one_with_the_right_scope_is_admitted(
    client: Client, keys: dict[str, str], method: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LIFE_SECONDS", 0)
    required = SCOPE_OF[method, path]
    for scope, key in keys.items():
        answer = ask(client, method, path, key)
        if scope == required:
            # The body is missing or of another type; there is no such record; the network is still starting
            assert answer.status_code in (200, 204, 400, 404, 415, 503)
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
            assert required in answer.json()["detail"]


@pytest.mark.parametrize("path", sorted(OPEN))
def test_open_routes_need_no_key(client: Client, path: str) -> None:
    assert ask(client, "GET", path).status_code in (200, 503)


@pytest.mark.parametrize("value", ["Bearer nonsense", "Bearer ", "Bearer", "bearer triage_" + "A" * 43])
def test_an_unknown_key_is_401(client: Client, value: str) -> None:
    refused = client.get("/v1/model", headers={"Authorization": value})

    assert refused.status_code == 401
    assert refused.json()["code"] in ("unknown_key", "unauthenticated")


@pytest.mark.parametrize("value", ["Basic dXNlcjpwYXNz", "{key}", "Token {key}"])
def test_another_scheme_is_401(client: Client, keys: dict[str, str], value: str) -> None:
    refused = client.get("/v1/model", headers={"Authorization": value.format(key=keys["read"])})

    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")


def test_a_key_in_the_url_is_ignored(client: Client, keys: dict[str, str]) -> None:
    """Proxies log URLs."""
    assert client.get("/v1/model", params={"key": keys["read"], "access_token": keys["read"]}).status_code == 401


def test_the_key_is_checked_before_the_rest_of_the_request(client: Client) -> None:
    assert client.get("/v1/predictions?limit=nonsense").status_code == 401
    assert client.post(b"x" * 100, "text/plain").status_code == 401


def test_a_revoked_key_is_refused_from_the_next_request_on(client: Client) -> None:
    key = client.app.state.keys.add("gone-soon", ["read"])
    assert ask(client, "GET", "/v1/model", key).status_code == 200

    client.app.state.keys.revoke("gone-soon")

    assert ask(client, "GET", "/v1/model", key).json()["code"] == "unknown_key"


def test_the_log_has_the_name_of_the_key_and_never_the_key(client: Client, keys: dict[str, str], log: StringIO) -> None:
    ask(client, "GET", "/v1/model", keys["read"])
    ask(client, "DELETE", "/v1/predictions/{id}", keys["read"])
    ask(client, "GET", "/v1/model", "triage_" + "A" * 43)

    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line.get("key") for line in lines if line["event"] == "request"] == ["only-read", None, None]
    assert not any(secret in log.getvalue() for secret in (*keys.values(), "AAAA"))


def test_no_answer_allows_another_origin(client: Client) -> None:
    foreign = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    for method in ("GET", "OPTIONS"):
        answer = client.request(method, "/v1/model", headers=foreign)
        assert not any(name.startswith("access-control") for name in answer.headers)
        assert answer.status_code in (401, 204)


# Where no key is required...


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *[(host, True) for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost", "LocalHost", "::ffff:127.0.0.1")],
        *[(host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "192.168.1.2", "fe80::1", "::ffff:10.0.0.1")],
        *[(host, False) for host in ("", "localhost.example", "example", "127.0.0.1.example", "127.1", "2130706433")],
    ],
)
def test_loopback_addresses_are_recognised(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


def test_keys_are_required_except_on_loopback_or_when_switched_off() -> None:
    assert requires_keys(Http(host="0.0.0.0"))
    assert requires_keys(Http(keys="always"))
    assert not requires_keys(Http())
    assert not requires_keys(Http(host="0.0.0.0", keys="never"))


@pytest.fixture(scope="module")
def local(artefact: Path, folder: Path) -> Iterator[Client]:
    with client_of(create_app(settings_for(artefact, folder))) as client:
        yield client


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000"])
def test_on_loopback_requests_that_name_this_machine_are_admitted(local: Client, host: str) -> None:
    assert local.get("/v1/model", headers={"Host": host}).status_code == 200
    assert local.get("/v1/model", headers={"Host": host, "Origin": f"http://{host}"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example"},
        {"Host": "127.0.0.1.rebound.example:8000"},
        {"Host": ""},
        {"Host": "[nonsense"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
    ],
)
def test_on_loopback_requests_that_name_another_host_or_origin_are_refused(
    local: Client, headers: dict[str, str]
) -> None:
    refused = local.get("/v1/model", headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (403, "foreign_host")
    assert "example" not in refused.text
    assert local.get("/livez", headers=headers).status_code == 200


def test_with_keys_the_host_name_does_not_matter_even_on_loopback(artefact: Path, tmp_path: Path) -> None:
    settings = with_http(settings_for(artefact, tmp_path), Http(keys="always"))
    with client_of(create_app(settings)) as client:
        key = client.app.state.keys.add("a", ["read"])
        named = {"Host": "triage.example"}

        assert client.get("/v1/model", headers=named).status_code == 401
        assert client.get("/v1/model", headers=named | {"Authorization": f"Bearer {key}"}).status_code == 200


def test_without_keys_everybody_is_admitted_and_a_warning_is_logged_repeatedly(
    artefact: Path, tmp_path: Path, log: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert auth.REMINDER_SECONDS == 60
    monkeypatch.setattr(auth, "REMINDER_SECONDS", 0.01)
    settings = with_http(settings_for(artefact, tmp_path), Http(host="0.0.0.0", keys="never"))
    with client_of(create_app(settings)) as client:
        assert client.get("/v1/model", headers={"Host": "triage.example"}).status_code == 200
        deadline = time.monotonic() + 60
        while len(warnings := [line for line in read(log) if line["level"] == "warning"]) < 3:
            assert time.monotonic() < deadline
            client.runner.run(asyncio.sleep(0.01))

    assert all(line["event"].startswith("insecure: ") for line in warnings)


def read(log: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_the_guard_is_insecure_only_when_keys_are_switched_off(local: Client, client: Client) -> None:
    assert not local.app.state.guard.insecure
    assert not client.app.state.guard.insecure


# Rate limits...


def test_a_client_over_its_rate_is_429_and_others_are_not(artefact: Path, tmp_path: Path) -> None:
    limits = LIMITS.model_copy(update={"requests_per_second": 0.001, "requests_burst": 2})  # none more in this test
    with client_of(create_app(with_http(settings_for(artefact, tmp_path), NETWORK, limits))) as client:
        key, other_key = (client.app.state.keys.add(name, ["read"]) for name in "ab")

        assert [ask(client, "GET", "/v1/model", key).status_code for _ in range(3)] == [200, 200, 429]
        refused = ask(client, "GET", "/v1/model", key)
        assert refused.json()["code"] == "rate_limited"
        assert 900 < int(refused.headers["retry-after"]) <= 1000
        assert [ask(client, "GET", "/v1/model").status_code for _ in range(3)] == [401, 401, 429]
        assert ask(client, "GET", "/v1/model", other_key).status_code == 200
        assert [client.get("/livez").status_code for _ in range(5)] == [200] * 5


def test_on_loopback_the_rate_is_per_address(artefact: Path, tmp_path: Path) -> None:
    limits = LIMITS.model_copy(update={"requests_per_second": 0.001, "requests_burst": 1})
    with client_of(create_app(settings_for(artefact, tmp_path, limits))) as client:
        assert [client.get("/v1/model").status_code for _ in range(2)] == [200, 429]
