"""Threats of 2025 and 2026 over HTTP, each a test named after what was found elsewhere."""

import ast
import gzip
import json
import socket
import subprocess
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest

from bench.processes import tree_mib
from service.storage.owner import OWNER
from tests.factories import dicom_bytes, noise
from tests.service.dimse.serving import TRIAGE, Process, environment, service

UPLOAD = {"Content-Type": "application/dicom"}
STOW = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=x'}
SHELL = "1.2;touch${IFS}evil|$(id)`id`\n&&"
TRAVERSALS = ("../../evil", "/tmp/evil", "..\\..\\evil", "evil\0.dcm", "%2e%2e%2fevil", "··/evil", "~/evil", "con")


@dataclass(frozen=True)
class Target:
    served: Process
    http: httpx.Client
    variables: dict[str, str]
    folder: Path

    @property
    def log(self) -> str:
        return self.served.log.read_text()

    def files(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}


@pytest.fixture(scope="module")
def target(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A service that requires a key, and a client that has one."""
    folder = tmp_path_factory.mktemp("target")
    variables = environment(artefact, folder, TRIAGE_HTTP__KEYS="always")
    with service(variables, folder / "log") as served:
        added = subprocess.run(
            [TRIAGE, "keys", "add", "tester"], env=variables, capture_output=True, text=True, check=True
        )
        headers = {"Authorization": f"Bearer {added.stdout.strip()}"}
        with httpx.Client(base_url=served.address, headers=headers, timeout=60) as client:
            yield Target(served, client, variables, folder)


def exchange(port: int, sent: bytes) -> bytes:
    """Send bytes, and return what is answered until the connection ends."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(sent)
        try:
            while part := connection.recv(2**16):
                received += part
        except ConnectionError:
            pass
    return received


def head(method: str, path: str, *fields: str, host: str = "x") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *fields, "Connection: close", "", ""]).encode()


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate", "x-gzip", "identity, gzip", "GZIP"])
@pytest.mark.parametrize("path", ["/v1/predictions", "/dicom-web/studies", "/v1/worklist/search"])
def test_cve_2026_5438_a_compressed_body_is_refused(target: Target, path: str, coding: str) -> None:
    bomb = zlib.compress(bytes(10**7), 9) if coding == "deflate" else gzip.compress(bytes(10**7), 9)
    answer = target.http.post(path, content=bomb, headers=UPLOAD | {"Content-Encoding": coding})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_cve_2026_5439_a_zip_file_is_refused_without_a_look_inside(target: Target) -> None:
    archive = BytesIO()
    with ZipFile(archive, "w") as writer:
        writer.writestr("a.dcm", dicom_bytes(noise()))
    answer = target.http.post("/v1/predictions", content=archive.getvalue(), headers=UPLOAD)
    assert (answer.status_code, answer.json()["code"]) == (400, "not_dicom")


def test_cve_2026_5440_a_length_of_four_gigabytes_allocates_nothing(target: Target) -> None:
    key = target.http.headers["Authorization"]
    before = tree_mib(target.served.process.pid)
    for path in ("/v1/predictions", "/v1/worklist/search"):
        for length in (2**32 - 1, 2**63 - 1, 10**18):
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Type: application/dicom\r\n"
            answer = exchange(
                target.served.port, f"{head}Connection: close\r\nContent-Length: {length}\r\n\r\n".encode()
            )
            assert answer.startswith(b"HTTP/1.1 413 "), answer[:200]
    assert tree_mib(target.served.process.pid) < before + 64


def test_cve_2026_5663_shell_characters_are_in_no_file_name_or_log_line(target: Target) -> None:
    data = dicom_bytes(noise(seed=2), SOPInstanceUID="2.25.663", PatientID=SHELL, AccessionNumber=SHELL[:16])
    answers = [
        target.http.post("/v1/predictions", content=data, headers=UPLOAD | {"X-Request-Id": "$(id)"}),
        target.http.post("/v1/predictions", files={"file": ("$(touch evil);.dcm", data)}),
        target.http.get("/dicom-web/studies", params={"StudyInstanceUID": SHELL}),
        target.http.get("/v1/predictions/$(id)"),
    ]
    assert all(answer.status_code < 500 for answer in answers)
    for text in ("touch", "$(", "${", "`id`"):
        assert text not in target.log
        assert not [name for name in target.files() if text in name]


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize("name", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID"])
@pytest.mark.parametrize("value", TRAVERSALS)
def test_cve_2026_50003_no_identifier_leads_out_of_the_folder(target: Target, name: str, value: str) -> None:
    data = dicom_bytes(
        noise(seed=3), **{"SOPInstanceUID": f"2.25.{zlib.crc32((name + value).encode())}"} | {name: value}
    )
    before = {each for each in target.files() if "instances" not in each}
    part = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n--x--\r\n"
    answers = [
        target.http.post("/v1/predictions", content=data, headers=UPLOAD),
        target.http.post("/dicom-web/studies", content=part, headers=STOW),
    ]
    assert all(answer.status_code < 500 for answer in answers), [answer.text for answer in answers]
    after = {each for each in target.files() if "instances" not in each}
    assert {each for each in after - before if "triage.sqlite" not in each and "objects" not in each} == set()
    stored = [path for path in (target.folder / "data" / "instances").rglob("*") if path.is_file()]
    assert all(len(path.name) == 36 and path.name.endswith(".dcm") for path in stored if path.name != OWNER)


@pytest.mark.parametrize(
    "host", ["evil.example", "a/b", "a?b", "a#b", "u:p@evil.example", "a b", "evil.example:99999", ""]
)
def test_cve_2026_48710_a_host_changes_no_decision_and_leads_no_link_elsewhere_in_the_path(
    target: Target, host: str
) -> None:
    data = dicom_bytes(noise(seed=4), SOPInstanceUID="2.25.487", StudyInstanceUID="2.25.4871")
    assert target.http.post("/v1/predictions", content=data, headers=UPLOAD).status_code == 200
    key = target.http.headers["Authorization"]
    path = "/dicom-web/studies?StudyInstanceUID=2.25.4871"
    without = exchange(target.served.port, head("GET", path, host=host))
    answer = exchange(target.served.port, head("GET", path, f"Authorization: {key}", host=host))

    assert without.split()[1] in (b"401", b"400")
    fields, _, body = answer.partition(b"\r\n\r\n")
    if fields.split()[1] == b"200":
        [study] = json.loads(body)
        url = httpx.URL(study["00081190"]["Value"][0])
        assert (url.path, url.query, url.fragment, url.userinfo) == ("/dicom-web/studies/2.25.4871", b"", "", b"")
    else:
        assert fields.split()[1] == b"400"


@pytest.mark.parametrize(
    "form", ["http://evil.example/v1/predictions", "//v1/predictions", "/livez/../v1/predictions", "*"]
)
def test_an_absolute_form_or_crooked_path_passes_no_check(target: Target, form: str) -> None:
    status = int(exchange(target.served.port, head("GET", form)).split()[1])
    assert status in (400, 401, 404)


def test_a_viewer_that_sends_a_users_token_elsewhere_is_not_the_one_named(root: Path) -> None:
    """CVE-2026-12473, OHIF before 3.12.2."""
    version = json.loads((root / ".ci" / "ohif" / "package.json").read_text())["dependencies"]["@ohif/app"]
    assert tuple(map(int, version.split("."))) >= (3, 12, 2)
    assert f"OHIF {version}" in (root / "docs" / "pacs.md").read_text()


def test_one_hostile_request_makes_few_bytes_of_log(target: Target) -> None:
    """io-dicom#35: a log that grows a thousand times faster than what is sent."""
    long, nested = "x" * 8000, {"content": b"[" * 60_000, "headers": {"Content-Type": "application/json"}}
    requests = [
        lambda: target.http.get(f"/{long}"),
        lambda: target.http.get("/v1/predictions", params={"cursor": long}),
        lambda: target.http.get("/v1/predictions", headers={"Authorization": f"Bearer {long}"}),
        lambda: target.http.request(long[:1000], "/v1/predictions"),
        lambda: target.http.post("/v1/worklist/search", **nested),
        lambda: target.http.post("/v1/predictions", content=b"\0" * 128 + b"DICM" + b"\xff" * 10**5, headers=UPLOAD),
        lambda: target.http.post("/dicom-web/studies", content=b"--x\r\n" * 10_000, headers=STOW),
        lambda: exchange(target.served.port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        lambda: exchange(target.served.port, b"\x01\x00\x00\x00\x00\xcd\x00\x01" + b"\0" * 5000 + b"\r\n\r\n"),
    ]
    for request in requests:
        before = len(target.log)
        request()
        assert len(target.log) - before < 2_000


def test_no_setting_or_template_is_code(root: Path) -> None:
    """mercure 0.4.1: rules that were evaluated, SQL and commands that were put together from text."""
    found = []
    for path in (root / "service").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in ("eval", "exec", "compile", "os.system", "os.popen", "__import__", "yaml.load"):
                    found.append(f"{path.name}: {called}")
                if any(word.arg == "shell" for word in node.keywords):
                    found.append(f"{path.name}: a shell")
            if isinstance(node, ast.Import | ast.ImportFrom) and "subprocess" in ast.unparse(node):
                found.append(f"{path.name}: a command")
    assert found == []
