from collections.abc import Iterator
from pathlib import Path

import pytest

from service.http import page
from service.http.app import create_app
from tests.service.serving import Client, client_of, settings_for

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob:",
    "connect-src": "'self'",
    "font-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A service that may not be ready: the page is available before the network."""
    with client_of(create_app(settings_for(artefact, tmp_path_factory.mktemp("data")))) as client:
        yield client


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of web files, beside a file that must not be served."""
    (tmp_path / "secret.js").write_text("secret")
    folder = tmp_path / "web"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.js", "a.css", "a.svg", "a.html", "a.woff2", "a.png", "a.py", ".hidden.js", "deep/b.js", "noending"):
        (folder / name).write_text(name)
    monkeypatch.setattr(page, "WEB", folder)
    return folder


def test_the_page_is_served(client: Client) -> None:
    response = client.get("/")

    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "research use only" in response.text.lower()
    assert client.get("/web/index.html").content == response.content


def test_the_policy_permits_neither_other_origins_nor_inline_scripts(client: Client) -> None:
    for path in ("/", "/statistics", "/web/index.html"):
        policy = client.get(path).headers["content-security-policy"]
        assert dict(part.strip().split(" ", 1) for part in policy.split(";")) == POLICY


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.js", "text/javascript; charset=utf-8"),
        ("deep/b.js", "text/javascript; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.svg", "image/svg+xml"),
        ("a.html", "text/html; charset=utf-8"),
        ("a.woff2", "font/woff2"),
        ("a.png", "image/png"),
    ],
)
def test_a_file_has_its_media_type(client: Client, web: Path, name: str, kind: str) -> None:
    response = client.get(f"/web/{name}")

    assert (response.status_code, response.text) == (200, name)
    assert response.headers["content-type"] == kind
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        *("a.py", "noending", ".hidden.js", "deep", "deep/", "", "none.js", "A.JS", "a.js/", "a.js/b.js"),
        *("../secret.js", "deep/../../secret.js", "%2e%2e/secret.js", "..%2fsecret.js", "%2fetc/passwd"),
        *("..%5csecret.js", "%252e%252e/secret.js", "a.js%00", "/a.js", "deep//b.js"),
    ],
)
def test_other_paths_are_404(client: Client, web: Path, path: str) -> None:
    response = client.get(f"/web/{path}")

    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert "secret" not in response.text


def test_a_symbolic_link_out_of_the_folder_is_followed(client: Client, web: Path) -> None:
    """Only the person who installs the package can create one."""
    (web / "linked.js").symlink_to(web.parent / "secret.js")

    assert client.get("/web/linked.js").status_code == 200


def test_an_upgrade_is_seen_at_once(client: Client, web: Path) -> None:
    before = client.get("/web/a.js")
    tag = {"If-None-Match": before.headers["etag"]}
    assert before.headers["cache-control"] == "no-cache"
    assert client.get("/web/a.js", headers=tag).status_code == 304

    (web / "a.js").write_text("newer")
    after = client.get("/web/a.js", headers=tag)

    assert (after.status_code, after.text) == (200, "newer")
    assert after.headers["etag"] != before.headers["etag"]
