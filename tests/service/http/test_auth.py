import asyncio
import json
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
from service.settings import Http, Limits, Settings
from service.storage.keys import SCOPES, Scope
from tests.service.serving import LIMITS, Client, client_of, settings_for

NETWORK = Http(host="0.0.0.0")
WANTED: dict[tuple[str, str], Scope] = {
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
    ("POST", "/dicom-web/studies"): "predict",
    ("POST", "/dicom-web/studies/{study}"): "predict",
    **{
        ("GET", f"/dicom-web/{path}"): "read"
        for path in (
            *("studies", "series", "instances", "studies/{study}/series", "studies/{study}/instances"),
            *("studies/{study}", "studies/{study}/metadata", "studies/{study}/thumbnail"),
            *(
                f"studies/{{study}}/series/{{of_series}}{rest}"
                for rest in ("", "/instances", "/metadata", "/thumbnail")
            ),
            *(
                f"studies/{{study}}/series/{{of_series}}/instances/{{instance}}{rest}"
                for rest in (
                    *("", "/metadata", "/rendered", "/thumbnail"),
                    *("/frames/{frames}", "/frames/1/rendered"),
                )
            ),
        )
    },
    **{("GET", f"/v1/predictions/{{id}}/{part}.png"): "read" for part in ("overlay", "image", "heat_map", "crop")},
    **{
        ("GET", f"/v1/predictions/{{id}}/{name}"): "read"
        for name in ("sr.dcm", "segmentation.dcm", "secondary_capture.dcm", "presentation_state.dcm", "fhir.json")
    },
}


def with_http(settings: Settings, http: Http, limits: Limits = LIMITS) -> Settings:
    return settings.model_copy(update={"http": http, "limits": limits})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def client(artefact: Path, folder: Path) -> Iterator[Client]:
    """On a network; not waited for, who may ask is told before anything else."""
    with client_of(create_app(with_http(settings_for(artefact, folder), NETWORK))) as client:
        yield client


@pytest.fixture(scope="module")
def keys(client: Client) -> dict[str, str]:
    return {scope: client.app.state.keys.add(f"only-{scope}", [scope]) for scope in SCOPES}


def ask(client: Client, method: str, path: str, key: str | None = None) -> httpx.Response:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    path = path.replace("{id}", "0" * 32).replace("{path:path}", "index.html").replace("{frames}", "1")
    return client.request(method, path, headers=headers)


# Every route says who may...


def declared(app: FastAPI) -> dict[tuple[str, str], list[str]]:
    """Scopes of each operation, as the interface is described."""
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


def test_every_operation_that_is_described_declares_its_scope(client: Client) -> None:
    for (method, path), scopes in declared(client.app).items():
        assert scopes == [] if path in OPEN else len(scopes) == 1, f"{method} {path}"
        assert set(scopes) <= set(SCOPES)


def test_the_scopes_are_those_that_were_decided(client: Client) -> None:
    found = {operation: scopes[0] for operation, scopes in declared(client.app).items() if scopes}

    assert found == WANTED


def test_every_route_that_can_be_reached_declares_its_scope_or_is_open(client: Client) -> None:
    routes = list(walk(client.app.routes))

    assert {path for path, _ in routes} >= OPEN | {path for _, path in WANTED}
    for path, scopes in routes:
        assert not scopes if path in OPEN else len(scopes or []) == 1, path


def test_a_route_that_forgot_is_found() -> None:
    app = FastAPI(openapi_url=None)
    app.add_api_route("/forgotten", lambda: None)

    assert list(walk(app.routes)) == [("/forgotten", [])]


# ... and it is checked


@pytest.mark.parametrize(("method", "path"), WANTED)
def test_without_a_key_401(client: Client, method: str, path: str) -> None:
    refused = ask(client, method, path)

    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
    assert refused.headers["www-authenticate"] == 'Bearer realm="triage"'
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["x-content-type-options"] == "nosniff"
    Problem.model_validate_json(refused.content)


@pytest.mark.parametrize(("method", "path"), WANTED)
def test_with_another_scope_403_and_with_its_own_in(
    client: Client, keys: dict[str, str], method: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LIFE_SECONDS", 0)
    wanted = WANTED[method, path]
    for scope, key in keys.items():
        answer = ask(client, method, path, key)
        if scope == wanted:
            # A body is wanted, of its own kind; there is no such record; the network is still starting
            assert answer.status_code in (200, 204, 400, 404, 415, 503)
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "missing_scope")
            assert wanted in answer.json()["detail"]


@pytest.mark.parametrize("path", sorted(OPEN))
def test_what_is_open_asks_nobody(client: Client, path: str) -> None:
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


def test_a_key_in_the_url_is_no_key(client: Client, keys: dict[str, str]) -> None:
    """It would stand in the logs of every proxy."""
    assert client.get("/v1/model", params={"key": keys["read"], "access_token": keys["read"]}).status_code == 401


def test_a_key_is_asked_for_before_anything_is_said_of_the_request(client: Client) -> None:
    assert client.get("/v1/predictions?limit=nonsense").status_code == 401
    assert client.post(b"x" * 100, "text/plain").status_code == 401


def test_a_revoked_key_opens_nothing_any_more(client: Client) -> None:
    key = client.app.state.keys.add("gone-soon", ["read"])
    assert ask(client, "GET", "/v1/model", key).status_code == 200

    client.app.state.keys.revoke("gone-soon")

    assert ask(client, "GET", "/v1/model", key).json()["code"] == "unknown_key"


def test_the_log_names_the_key_and_never_has_it(client: Client, keys: dict[str, str], log: StringIO) -> None:
    ask(client, "GET", "/v1/model", keys["read"])
    ask(client, "DELETE", "/v1/predictions/{id}", keys["read"])
    ask(client, "GET", "/v1/model", "triage_" + "A" * 43)

    said = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [one.get("key") for one in said if one["event"] == "request"] == ["only-read", None, None]
    assert not any(secret in log.getvalue() for secret in (*keys.values(), "AAAA"))


def test_no_other_site_is_let_in_by_cors(client: Client) -> None:
    foreign = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    for method in ("GET", "OPTIONS"):
        answer = client.request(method, "/v1/model", headers=foreign)
        assert not any(name.startswith("access-control") for name in answer.headers)
        assert answer.status_code in (401, 405)


# Where no key is asked for...


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *[(host, True) for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost", "LocalHost", "::ffff:127.0.0.1")],
        *[(host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "192.168.1.2", "fe80::1", "::ffff:10.0.0.1")],
        *[(host, False) for host in ("", "localhost.example", "example", "127.0.0.1.example", "127.1", "2130706433")],
    ],
)
def test_what_loopback_is(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


def test_when_a_key_is_asked_for() -> None:
    assert requires_keys(Http(host="0.0.0.0"))
    assert requires_keys(Http(keys="always"))
    assert not requires_keys(Http())
    assert not requires_keys(Http(host="0.0.0.0", keys="never"))


@pytest.fixture(scope="module")
def local(artefact: Path, folder: Path) -> Iterator[Client]:
    with client_of(create_app(settings_for(artefact, folder))) as client:
        yield client


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000"])
def test_on_loopback_this_machine_is_let_in(local: Client, host: str) -> None:
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
def test_on_loopback_a_page_of_another_site_is_not(local: Client, headers: dict[str, str]) -> None:
    refused = local.get("/v1/model", headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (403, "foreign_host")
    assert "example" not in refused.text
    assert local.get("/livez", headers=headers).status_code == 200


def test_with_keys_also_on_loopback_the_name_does_not_matter(artefact: Path, tmp_path: Path) -> None:
    settings = with_http(settings_for(artefact, tmp_path), Http(keys="always"))
    with client_of(create_app(settings)) as client:
        key = client.app.state.keys.add("a", ["read"])
        named = {"Host": "triage.example"}

        assert client.get("/v1/model", headers=named).status_code == 401
        assert client.get("/v1/model", headers=named | {"Authorization": f"Bearer {key}"}).status_code == 200


def test_insecure_lets_everybody_in_and_says_so_again_and_again(
    artefact: Path, tmp_path: Path, log: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert auth.REMINDER_SECONDS == 60
    monkeypatch.setattr(auth, "REMINDER_SECONDS", 0.01)
    settings = with_http(settings_for(artefact, tmp_path), Http(host="0.0.0.0", keys="never"))
    with client_of(create_app(settings)) as client:
        assert client.get("/v1/model", headers={"Host": "triage.example"}).status_code == 200
        client.runner.run(asyncio.sleep(0.1))

    said = [json.loads(line) for line in log.getvalue().splitlines()]
    warnings = [one for one in said if one["level"] == "warning"]
    assert len(warnings) >= 3
    assert all(one["event"].startswith("insecure: ") for one in warnings)


def test_otherwise_nothing_is_said_of_it(local: Client, client: Client) -> None:
    assert not local.app.state.guard.insecure
    assert not client.app.state.guard.insecure


# How often...


def test_one_client_too_often_is_429_and_the_others_are_not(artefact: Path, tmp_path: Path) -> None:
    limits = LIMITS.model_copy(update={"requests_per_second": 0.25, "requests_burst": 2})
    with client_of(create_app(with_http(settings_for(artefact, tmp_path), NETWORK, limits))) as client:
        one, other = (client.app.state.keys.add(name, ["read"]) for name in "ab")

        assert [ask(client, "GET", "/v1/model", one).status_code for _ in range(3)] == [200, 200, 429]
        refused = ask(client, "GET", "/v1/model", one)
        assert (refused.json()["code"], refused.headers["retry-after"]) == ("rate_limited", "4")
        assert [ask(client, "GET", "/v1/model").status_code for _ in range(3)] == [401, 401, 429]
        assert ask(client, "GET", "/v1/model", other).status_code == 200
        assert [client.get("/livez").status_code for _ in range(5)] == [200] * 5


def test_on_loopback_the_address_is_the_client(artefact: Path, tmp_path: Path) -> None:
    limits = LIMITS.model_copy(update={"requests_per_second": 0.25, "requests_burst": 1})
    with client_of(create_app(settings_for(artefact, tmp_path, limits))) as client:
        assert [client.get("/v1/model").status_code for _ in range(2)] == [200, 429]
