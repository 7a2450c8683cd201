"""The engine, the images and the secrets; what was measured is said at the end."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.docker.deployment import Deployment, Engine

MEASURED = pytest.StashKey[list[str]]()
STAND_INS = {"proxy": "nginx", "database": "postgres", "orthanc": "orthanc"}


def pytest_configure(config: pytest.Config) -> None:
    config.stash[MEASURED] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in terminalreporter.config.stash.get(MEASURED, []):
        terminalreporter.write_line(f"measured: {line}")


@pytest.fixture
def measured(pytestconfig: pytest.Config) -> list[str]:
    """Lines to say at the end."""
    return pytestconfig.stash[MEASURED]


@pytest.fixture(scope="session")
def engine(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The engine that answers; where none does, one that is started for these tests, and stopped after them."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        pytest.skip("one engine, one process: run these tests without -n")
    found = Engine(os.environ)
    if found.answers():
        yield found
        return
    tool = root.parent / "shared" / "tools" / "docker-engine.sh"
    if not tool.exists() or os.geteuid() != 0:
        pytest.skip(f"no Docker engine answers, and root's {tool} is not there to start one")
    exports = subprocess.run([tool, "env"], check=True, capture_output=True, text=True).stdout
    own = Engine({**os.environ, **dict(item.split("=", 1) for item in exports.split() if "=" in item)})
    if own.answers():
        yield own
        return
    try:
        with (tmp_path_factory.mktemp("engine") / "log").open("w") as log:
            subprocess.run([tool, "up"], check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        yield own
    finally:
        subprocess.run([tool, "down"], check=True, stdin=subprocess.DEVNULL, capture_output=True)


@pytest.fixture(scope="session")
def image(engine: Engine, root: Path) -> str:
    """The service's image, built."""
    assert (root / "service" / "assets" / "agcnn.onnx").exists(), "no artefact to ship"
    certificates = os.environ.get("PIP_CERT", "")
    secret = ("--secret", f"id=ca,src={certificates}") if certificates else ()
    dockerfile = str(root / "docker" / "service.Dockerfile")
    engine.run("build", "-q", "-f", dockerfile, *secret, "-t", "agcnn-triage:cpu", str(root))
    return "agcnn-triage:cpu"


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files the compose file asks for, but for the PACS's key."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "database_password").write_text("a pass/word: 100 %@\n")
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    request += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    request += ["-keyout", str(folder / "tls_key.pem"), "-out", str(folder / "tls_certificate.pem")]
    subprocess.run(request, check=True, capture_output=True)
    for file in folder.iterdir():
        file.chmod(0o444)
    return folder


@pytest.fixture(scope="session")
def published(engine: Engine, root: Path) -> Callable[[str], None]:
    """See that the published image of a service is there: pulled, or where that cannot be, its stand-in."""
    profiles = ("--profile", "postgres", "--profile", "pacs")
    config = engine.run("compose", "-f", str(root / "docker-compose.yml"), *profiles, "config", "--format", "json")
    services = json.loads(config)["services"]

    def get(service: str) -> None:
        name = services[service]["image"]
        if any(engine.try_run(*how, name).returncode == 0 for how in (("image", "inspect"), ("pull", "-q"))):
            return
        here = root / "tests" / "docker"
        stand_ins = ("-f", str(here / "stand_ins.Dockerfile"), "--target", STAND_INS[service])
        engine.run("build", "-q", *stand_ins, "-t", name, str(here))

    return get


@pytest.fixture(scope="module")
def deploy(
    engine: Engine, image: str, root: Path, secrets: Path, published: Callable[[str], None]
) -> Iterator[Callable[..., Deployment]]:
    """Make a deployment of a profile with these published images; it is taken down after the module."""
    made: list[Deployment] = []

    def start(profile: str, *images: str) -> Deployment:
        for one in images:
            published(one)
        deployment = Deployment(engine, root, profile, secrets)
        made.append(deployment)
        return deployment

    yield start
    for deployment in made:
        deployment.down()


@pytest.fixture(scope="session")
def samples(root: Path) -> dict[str, bytes]:
    """The phantoms that ship, by name."""
    return {path.stem: path.read_bytes() for path in sorted((root / "samples").glob("*.dcm"))}
