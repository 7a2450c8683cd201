"""The service under a path, as a reverse proxy serves it: with and without the path stripped."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service.http.app import create_app
from service.http.forwarded import Forwarded
from service.http_settings import Http
from service.settings import Settings
from tests.factories import dicom_bytes, noise
from tests.service.serving import Client, client_of, serving, settings_for

ACCEPT = {"Accept": "application/dicom+json"}
STOW = {"Content-Type": "application/dicom"} | ACCEPT
FILE = dicom_bytes(noise())


def under(root_path: str, settings: Settings) -> Settings:
    """Settings of a service under a path, behind a proxy on this machine that it believes."""
    return settings.model_copy(update={"http": Http(root_path=root_path, proxies=("127.0.0.1",))})


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The service at the root, as it is told by the settings; only `X-Forwarded-Prefix` tells it of a path."""
    with serving(under("", settings_for(artefact, tmp_path_factory.mktemp("data")))) as client:
        client.post(FILE)
        yield client


@pytest.fixture(scope="module")
def placed(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(under("/triage", settings_for(artefact, tmp_path_factory.mktemp("data")))) as client:
        client.post(FILE)
        yield client


def retrieve_urls(document: Any) -> list[str]:
    """Every Retrieve URL (0008,1190) in DICOM JSON, at any depth."""
    if isinstance(document, list):
        return [url for item in document for url in retrieve_urls(item)]
    if isinstance(document, dict):
        own = document.get("00081190", {}).get("Value", [])
        return [*own, *(url for value in document.values() for url in retrieve_urls(value) if value is not own)]
    return []


@pytest.mark.parametrize("path", ["", "/triage"], ids=["stripped", "kept"])
def test_every_address_in_an_answer_has_the_root_path(placed: Client, path: str) -> None:
    [study] = placed.get(f"{path}/dicom-web/studies", headers=ACCEPT).json()
    [url] = retrieve_urls(study)
    stored = placed.request("POST", f"{path}/dicom-web/studies", content=FILE, headers=STOW)
    listed = placed.get(f"{path}/v1/worklist").json()["items"]
    links = [*listed[0]["links"].values(), *placed.get(f"{path}/v1/predictions").json()["items"][0]["links"].values()]

    assert url == "http://localhost/triage/dicom-web/studies/2.25.1001"
    assert stored.status_code == 200
    assert len(retrieve_urls(stored.json())) == 2
    for address in (url, *retrieve_urls(stored.json()), *links):
        assert address.removeprefix("http://localhost").startswith("/triage/")
        assert not address.startswith("/triage/triage")
        assert placed.get(address, headers={"Accept": "*/*"}).status_code == 200
    assert placed.get(f"{path}/openapi.json").json()["servers"] == [{"url": "/triage"}]
    assert [placed.get(f"{path}{page}").status_code for page in ("/", "/docs", "/web/main.js", "/readyz")] == [200] * 4


def test_a_path_that_only_begins_like_the_root_path_is_not_under_it(placed: Client) -> None:
    assert placed.get("/triages/livez").status_code == 404
    assert placed.get("/triage/triage/livez").status_code == 404


def test_the_limit_of_stow_applies_under_the_root_path(artefact: Path, tmp_path: Path) -> None:
    settings = under("/triage", settings_for(artefact, tmp_path))
    limits = settings.limits.model_copy(update={"max_body_bytes": len(FILE) - 1, "max_store_bytes": len(FILE)})
    with serving(settings.model_copy(update={"limits": limits})) as client:
        for path in ("/dicom-web/studies", "/triage/dicom-web/studies"):
            assert client.request("POST", path, content=FILE, headers=STOW).status_code == 200
        assert client.request("POST", "/triage/v1/predictions", content=FILE, headers=STOW).status_code == 413


def test_without_a_setting_and_a_header_nothing_changes(client: Client) -> None:
    [study] = client.get("/dicom-web/studies", headers=ACCEPT).json()

    assert retrieve_urls(study) == ["http://localhost/dicom-web/studies/2.25.1001"]
    assert client.get("/v1/worklist").json()["items"][0]["links"]["self"].startswith("/v1/predictions/")
    assert "servers" not in client.get("/openapi.json").json()


@pytest.mark.parametrize("sent", ["/ai", "/ai/"])
def test_a_trusted_proxy_tells_the_root_path_scheme_and_client(client: Client, sent: str) -> None:
    headers = ACCEPT | {"X-Forwarded-Prefix": sent, "X-Forwarded-Proto": "https"}
    [study] = client.get("/dicom-web/studies", headers=headers).json()

    assert retrieve_urls(study) == ["https://localhost/ai/dicom-web/studies/2.25.1001"]
    assert client.get("/v1/worklist", headers=headers).json()["items"][0]["links"]["self"].startswith("/ai/v1/")
    assert client.get("/openapi.json", headers=headers).json()["servers"] == [{"url": "/ai"}]
    assert client.get("/v1/worklist").json()["items"][0]["links"]["self"].startswith("/v1/")  # not kept


def test_the_header_of_a_trusted_proxy_counts_more_than_the_setting(placed: Client) -> None:
    [study] = placed.get("/dicom-web/studies", headers=ACCEPT | {"X-Forwarded-Prefix": "/ai"}).json()

    assert retrieve_urls(study) == ["http://localhost/ai/dicom-web/studies/2.25.1001"]


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "/",
        "ai",
        "//ai",
        "/ai//b",
        "/..",
        "/ai/../b",
        "/.ai",
        "/a b",
        "/a\tb",
        "/ai?x",
        "/ai#x",
        "/%61",
        "/ä",
        "/a, /b",
    ],
)
def test_a_prefix_that_is_no_plain_path_is_ignored(client: Client, sent: str) -> None:
    answer = client.get("/dicom-web/studies", headers=ACCEPT | {"X-Forwarded-Prefix": sent.encode()})

    assert retrieve_urls(answer.json()) == ["http://localhost/dicom-web/studies/2.25.1001"]


def seen_by(scope: dict[str, Any], root_path: str, proxies: Sequence[str]) -> dict[str, Any]:
    """Return the scope that the application behind `Forwarded` gets."""
    seen: list[Any] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    asyncio.run(Forwarded(inner, root_path, proxies)(scope, None, None))  # type: ignore[arg-type]
    return dict(seen[0])


@pytest.mark.parametrize(
    ("proxies", "believed"),
    [
        *((("127.0.0.1",), False), (("10.1.2.3",), True), (("10.0.0.0/8",), True), (("*",), True)),
        *((("10.1.2.4", "192.168.0.0/16"), False), ((), False)),
    ],
)
def test_only_the_proxies_that_are_named_are_believed(proxies: Sequence[str], believed: bool) -> None:
    headers = [(b"x-forwarded-prefix", b"/ai"), (b"x-forwarded-proto", b"https"), (b"x-forwarded-for", b"192.0.2.7")]
    request = {"type": "http", "path": "/livez", "scheme": "http", "client": ("10.1.2.3", 1234), "headers": headers}

    scope = seen_by(request, "/triage", proxies)

    assert (scope["root_path"], scope["path"]) == (("/ai", "/ai/livez") if believed else ("/triage", "/triage/livez"))
    assert (scope["scheme"], scope["client"][0]) == (("https", "192.0.2.7") if believed else ("http", "10.1.2.3"))


@pytest.mark.parametrize(("proxies", "believed"), [((), False), (("127.0.0.1",), True)])
def test_by_default_nobody_is_believed(
    artefact: Path, tmp_path: Path, proxies: tuple[str, ...], believed: bool
) -> None:
    """Another address in each request of a client on this machine would be another client to the rate limit."""
    settings = settings_for(artefact, tmp_path).model_copy(update={"http": Http(proxies=proxies)})
    with client_of(create_app(settings)) as client:
        described = client.get("/openapi.json", headers={"X-Forwarded-Prefix": "/ai"}).json()
        assert ("servers" in described) is believed


@pytest.mark.parametrize("wrong", ["", "proxy", "10.0.0.1/8", "10.0.0.0/33", "127.0.0.1,127.0.0.2"])
def test_a_proxy_that_is_no_address_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError, match="proxies"):
        Http(proxies=(wrong,))


@pytest.mark.parametrize(
    "wrong", ["triage", "/triage/", "/", "//a", "/..", "/a/./b", "https://a.example/triage", "/a b"]
)
def test_a_setting_that_is_no_path_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError, match="root_path"):
        Http(root_path=wrong)


def test_other_messages_than_requests_pass() -> None:
    assert seen_by({"type": "lifespan"}, "/triage", ("*",)) == {"type": "lifespan"}
