import json
from collections.abc import Callable, Iterator
from inspect import iscoroutinefunction
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from service.http.app import ROUTERS, create_app
from service.objects.kinds import DICOM_KINDS
from service.prediction.stored import StoredPredictions
from tests.service.serving import Client, client_of, settings_for


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Not waited for: what is tested here needs no network."""
    with client_of(create_app(settings_for(artefact, tmp_path_factory.mktemp("data")))) as client:
        yield client


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/v1/model", "/v1/predictions", "/v1/worklist", "/nowhere", "/web/none.js"]
)
def test_every_answer_has_an_id_and_safe_headers(client: Client, path: str) -> None:
    headers = client.get(path).headers

    assert len(headers["x-request-id"]) == 16
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("id", ["0af7651916cd43dd8448eb211c80319c", "5F3C0B1E-8A5E-4B6F-9C1D-2E7A90B4D611"])
def test_an_id_that_a_proxy_has_made_is_taken_up(client: Client, log: StringIO, id: str) -> None:
    response = client.get("/v1/predictions/none", headers={"X-Request-Id": id})

    assert response.headers["x-request-id"] == response.json()["request_id"] == id
    lines = map(json.loads, log.getvalue().splitlines())  # among them, perhaps, that the service is ready
    assert {line["request_id"] for line in lines if line["event"] != "ready"} == {id}


@pytest.mark.parametrize("sent", ["", "Canary^Tweety", "a b", "a" * 65, "ä", "19420502", "2.25.1003", "1" * 16])
def test_another_id_is_replaced(client: Client, sent: str) -> None:
    response = client.get("/livez", headers={"X-Request-Id": sent.encode()})

    assert response.headers["x-request-id"] != sent
    assert len(response.headers["x-request-id"]) == 16


def test_405_says_what_is_allowed(client: Client) -> None:
    response = client.request("PUT", "/v1/predictions")

    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert response.headers["allow"] == "GET, HEAD, OPTIONS, POST"


def test_an_unexpected_error_is_told_and_logged_without_its_text(
    client: Client, log: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ValueError("Canary^Tweety")

    monkeypatch.setattr(StoredPredictions, "get", fail)
    response = client.get("/v1/predictions/x")

    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "Canary" not in response.text + log.getvalue()
    lines = map(json.loads, log.getvalue().splitlines())  # among them, perhaps, that the service is ready
    unexpected = next(line for line in lines if line["event"] == "unexpected")
    assert (unexpected["error"], unexpected["request_id"]) == ("ValueError", response.headers["x-request-id"])
    assert "in fail" in unexpected["frames"][-1] or " fail" in unexpected["frames"][-1]


def test_the_log_has_the_route_not_the_path(client: Client, log: StringIO) -> None:
    client.get("/v1/predictions/Canary")
    client.get("/Canary")

    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    requests = [(line["method"], line["route"], line["status"]) for line in lines if line["event"] == "request"]
    assert requests == [("GET", "/v1/predictions/{id}", 404), ("GET", None, 404)]


def test_the_interface_is_described(client: Client) -> None:
    described = client.get("/openapi.json").json()

    assert {path for path in described["paths"] if not path.startswith("/dicom-web/")} == {
        *("/v1/predictions", "/v1/predictions/{id}", "/v1/model", "/livez", "/readyz", "/v1/events"),
        *("/v1/worklist", "/v1/worklist/search", "/v1/worklist/{id}", "/v1/worklist.csv"),
        *("/v1/predictions/{id}/pixels", "/v1/predictions/{id}/maps.json"),
        *(f"/v1/predictions/{{id}}/{part}.png" for part in ("overlay", "image", "heat_map", "crop")),
        *(f"/v1/predictions/{{id}}/{kind}.dcm" for kind in DICOM_KINDS),
        *(f"/v1/predictions/{{id}}/{name}" for name in ("fhir.json", "hl7.hl7", "notification.json")),
        *(f"/v1/predictions/{{id}}/{name}" for name in ("acknowledgement", "opened", "opinions", "priors")),
        *(f"/v1/predictions/{{id}}/measurements{part}" for part in ("", "/{measurement}")),
        *("/v1/statistics", "/v1/statistics.csv"),
        *("/v1/predictions/{id}/send", "/v1/predictions/{id}/sends"),
    }
    prediction = described["components"]["schemas"]["Prediction"]["properties"]
    assert {"schema", "notice", "findings", "box", "timings_ms"} <= set(prediction)
    assert "global" in described["components"]["schemas"]["Finding"]["properties"]
    for operations in described["paths"].values():
        for operation in operations.values():
            assert operation["description"]
            assert list(operation["responses"]["default"]["content"]) == ["application/problem+json"]
            assert "422" not in operation["responses"]


def test_every_reference_of_the_description_leads_somewhere(client: Client) -> None:
    text = client.get("/openapi.json").text
    described = json.loads(text)

    for reference in {part.split('"')[0] for part in text.split('"$ref":"#/')[1:]}:
        place = described
        for name in reference.split("/"):
            place = place[name]


def test_no_dependency_of_a_route_waits_for_a_thread() -> None:
    """FastAPI runs functions that are not `async` in threads, and each costs two turns of a busy event loop."""
    routes = (route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute))
    calls = {call for route in routes for dependency in route.dependant.dependencies for call in _calls(dependency)}

    assert len(calls) > 10
    assert [call for call in calls if not iscoroutinefunction(call) and not iscoroutinefunction(call.__call__)] == []


def _calls(dependency: Dependant) -> Iterator[Callable[..., Any]]:
    assert dependency.call is not None
    yield dependency.call
    for inner in dependency.dependencies:
        yield from _calls(inner)
