"""No byte of a body is read before its request is admitted; proved below FastAPI, where bodies are received."""

import asyncio
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import pytest
import uvicorn
from fastapi import APIRouter, Body, FastAPI
from starlette.types import Message

from service.http.admission import MAX_JSON_BYTES, Admission
from service.http.app import create_app
from service.http.auth import OPEN, needs
from service.http_settings import Http
from tests.service.http.test_auth import SCOPE_OF, walk
from tests.service.serving import LIMITS, Client, client_of, settings_for

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "NONSENSE")
UNKNOWN = ("/nowhere", "/v1", "/v1/predictions/", "/dicom-web", "/web")
JSON_ROUTES = (
    ("POST", "/v1/worklist/search", "read"),
    ("POST", "/v1/worklist.csv", "read"),
    ("PATCH", "/v1/predictions/none", "predict"),
    ("POST", "/v1/predictions/none/send", "predict"),
)
TOO_MUCH = MAX_JSON_BYTES + 1


@dataclass(frozen=True)
class Answer:
    status: int
    code: str
    received: int  # how often the application asked for a message


def ask(app: FastAPI, method: str, path: str, headers: dict[str, str], body: Iterable[bytes] = ()) -> Answer:
    """Send one request at the level of ASGI; a body that is asked for beyond `body` fails the test."""
    parts, received, sent = iter(body), 0, list[Message]()

    async def receive() -> Message:
        nonlocal received
        received += 1
        return {"type": "http.request", "body": next(parts), "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    named = {"host": "localhost", "content-type": "application/json"} | headers
    scope = {
        "type": "http",
        "method": method,
        "path": path.replace("{path:path}", "index.html").replace("{", "").replace("}", ""),
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        "query_string": b"",
        "client": ("192.0.2.1", 5000),
    }
    asyncio.run(app(scope, receive, send))
    content = b"".join(message.get("body", b"") for message in sent)
    is_problem = (b"content-type", b"application/problem+json") in sent[0]["headers"]
    return Answer(sent[0]["status"], json.loads(content)["code"] if is_problem and content else "", received)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    limits = LIMITS.model_copy(update={"requests_per_second": 0.0, "idle_seconds": 0.2})
    settings = settings_for(artefact, tmp_path_factory.mktemp("data"), limits)
    with client_of(create_app(settings.model_copy(update={"http": Http(keys="always")}))) as client:
        yield client


@pytest.fixture(scope="module")
def local(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with client_of(create_app(settings_for(artefact, tmp_path_factory.mktemp("data")))) as client:
        yield client


@pytest.fixture(scope="module")
def keys(client: Client) -> dict[str, str]:
    return {scope: client.app.state.keys.add(f"only-{scope}", [scope]) for scope in ("read", "predict")}


@pytest.mark.parametrize("headers", [{}, bearer("triage_" + "A" * 43), {"content-length": "100000000"}])
def test_no_route_reads_a_body_without_a_valid_key(client: Client, headers: dict[str, str]) -> None:
    paths = sorted({path for path, _ in walk(client.app.routes)})
    assert len(paths) > 40

    for path in (*paths, *UNKNOWN):
        for method in METHODS:
            answer = ask(client.app, method, path, headers)
            assert answer.received == 0, (method, path)
            if (method, path) in SCOPE_OF:
                assert answer.status == 401, (method, path)
            elif path in OPEN and method in ("GET", "HEAD"):
                assert answer.status in (200, 304, 404, 405, 503), (method, path)
            elif method == "OPTIONS":
                assert answer.status == (404 if path in UNKNOWN else 204), path
            else:  # the path of one route may fit the pattern of another, which is then 401
                assert answer.status in (401, 404, 405), (method, path)


@pytest.mark.parametrize(("method", "path"), SCOPE_OF)
def test_no_route_reads_a_body_with_a_key_of_another_scope(
    client: Client, keys: dict[str, str], method: str, path: str
) -> None:
    key = keys["predict" if SCOPE_OF[method, path] == "read" else "read"]

    assert ask(client.app, method, path, bearer(key)) == Answer(403, "missing_scope", 0)


@pytest.mark.parametrize(("method", "path"), SCOPE_OF)
def test_on_loopback_no_route_reads_the_body_of_another_site(local: Client, method: str, path: str) -> None:
    for headers in ({"host": "rebound.example"}, {"origin": "https://elsewhere.example"}):
        assert ask(local.app, method, path, headers) == Answer(403, "foreign_host", 0)


def test_a_client_that_asks_too_often_is_refused_before_its_body(artefact: Path, tmp_path: Path) -> None:
    limits = LIMITS.model_copy(update={"requests_per_second": 0.01, "requests_burst": 1})
    settings = settings_for(artefact, tmp_path, limits).model_copy(update={"http": Http(keys="always")})
    with client_of(create_app(settings)) as client:
        answers = [ask(client.app, "POST", "/v1/worklist/search", bearer("unknown")) for _ in range(2)]

    assert answers == [Answer(401, "unknown_key", 0), Answer(429, "rate_limited", 0)]


# A JSON body is bounded...


@pytest.mark.parametrize(("method", "path", "scope"), JSON_ROUTES)
def test_a_json_body_that_declares_too_much_is_refused_unread(
    client: Client, keys: dict[str, str], method: str, path: str, scope: str
) -> None:
    headers = bearer(keys[scope]) | {"content-length": str(TOO_MUCH)}

    assert ask(client.app, method, path, headers) == Answer(413, "body_too_large", 0)


@pytest.mark.parametrize(("method", "path", "scope"), JSON_ROUTES)
def test_a_json_body_of_unknown_length_is_refused_as_soon_as_it_is_too_large(
    client: Client, keys: dict[str, str], method: str, path: str, scope: str
) -> None:
    parts = iter([b" " * 2**14] * 4 + [b" "])  # a sixth is not asked for

    assert ask(client.app, method, path, bearer(keys[scope]), parts) == Answer(413, "body_too_large", 5)


def test_a_json_body_may_be_as_large_as_the_bound(client: Client, keys: dict[str, str]) -> None:
    answer = client.request(
        "POST",
        "/v1/worklist/search",
        content=b"{}".ljust(MAX_JSON_BYTES),
        headers=bearer(keys["read"]) | {"content-type": "application/json"},
    )

    assert (answer.status_code, answer.json()["total"]) == (200, 0)


def test_deeply_nested_json_is_refused_at_once(client: Client, keys: dict[str, str]) -> None:
    client.wait_until_ready()  # which costs time, too
    for content in (b"[" * MAX_JSON_BYTES, b"[" + b"[]," * (MAX_JSON_BYTES // 3 - 1) + b"1]", b"9" * MAX_JSON_BYTES):
        start = process_time()
        answer = client.request(
            "POST",
            "/v1/worklist/search",
            content=content,
            headers=bearer(keys["read"]) | {"content-type": "application/json"},
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
        assert process_time() - start < 5


def test_a_json_body_that_stops_is_408(client: Client, keys: dict[str, str]) -> None:
    async def stalled() -> Message:
        await asyncio.sleep(60)
        raise AssertionError

    async def post() -> list[Message]:
        sent = list[Message]()

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [(name.encode(), value.encode()) for name, value in bearer(keys["read"]).items()]
        scope = {"type": "http", "method": "POST", "path": "/v1/worklist/search", "headers": headers}
        await client.app(scope | {"query_string": b""}, stalled, send)
        return sent

    start, body = asyncio.run(post())
    assert (start["status"], json.loads(body["body"])["code"]) == (408, "upload_idle")


# ... and a new route cannot forget any of it


def test_a_route_without_a_scope_or_with_two_is_not_served() -> None:
    for dependencies in ([], [needs("read"), needs("admin")]):
        router = APIRouter()
        router.add_api_route("/forgotten", lambda: None, dependencies=dependencies)
        with pytest.raises(ValueError, match="'/forgotten' must either declare one scope or be listed as open"):
            Admission(FastAPI(), guard=None, routes=router.routes, started=asyncio.Event().wait)  # type: ignore[arg-type]


def test_a_route_that_admission_does_not_know_cannot_read_a_body(artefact: Path, tmp_path: Path) -> None:
    def echo(content: list[int] = Body()) -> list[int]:  # noqa: B008
        return content

    def nothing() -> None:
        pass

    with client_of(create_app(settings_for(artefact, tmp_path))) as client:
        client.app.add_api_route("/added", echo, methods=["POST"])
        client.app.add_api_route("/added/read", nothing, methods=["GET"], dependencies=[needs("read")])

        assert ask(client.app, "POST", "/added", {}, [b"[1]"]).received == 0
        assert ask(client.app, "GET", "/added/read", {}) == Answer(401, "unauthenticated", 0)


def test_uvicorn_answers_a_bad_key_before_the_body(client: Client) -> None:
    head = (
        b"POST /v1/worklist/search HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer unknown\r\n"
        b"Content-Type: application/json\r\nContent-Length: 100000000\r\n\r\n"
    )

    async def serve() -> bytes:
        config = uvicorn.Config(client.app, port=0, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 60)
        writer.close()
        server.should_exit = True
        await task
        return answer

    assert asyncio.run(serve()).startswith(b"HTTP/1.1 401 ")  # and not 408 of a body that does not arrive
