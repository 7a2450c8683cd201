"""The Docker engine, the images and the secrets; measurements are printed at the end of the run."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.docker.deployment import Deployment, Engine

MEASURED = pytest.StashKey[list[str]]()
STAND_INS = {
    "proxy": "nginx",
    "viewer": "nginx",
    "database": "postgres",
    "orthanc": "orthanc",
    "prometheus": "prometheus",
}


def pytest_configure(config: pytest.Config) -> None:
    config.stash[MEASURED] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in terminalreporter.config.stash.get(MEASURED, []):
        terminalreporter.write_line(f"measured: {line}")


@pytest.fixture(scope="session")
def measured(pytestconfig: pytest.Config) -> list[str]:
    """Lines to print at the end of the run."""
    return pytestconfig.stash[MEASURED]


@pytest.fixture(scope="session")
def engine(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A running Docker engine; if there is none, one that is started for these tests and stopped after them."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        pytest.skip("one engine, one process: run these tests without -n")
    running = Engine(os.environ)
    if running.answers():
        yield running
        return
    tool = root.parent / "shared" / "tools" / "docker-engine.sh"
    if not tool.exists() or os.geteuid() != 0:
        pytest.skip(f"no Docker engine answers, and none can be started: that needs root and {tool}")
    exports = subprocess.run([tool, "env"], check=True, capture_output=True, text=True).stdout
    own = Engine({**os.environ, **dict(item.split("=", 1) for item in exports.split() if "=" in item)})
    if own.answers():
        yield own
        return
    try:
        with (tmp_path_factory.mktemp("engine") / "log").open("w") as log:
            for last in (False, False, True):  # it fetches packages, which may fail by chance
                up = subprocess.run([tool, "up"], check=last, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                if up.returncode == 0:
                    break
        yield own
    finally:
        subprocess.run([tool, "down"], check=True, stdin=subprocess.DEVNULL, capture_output=True)


@pytest.fixture(scope="session")
def image(engine: Engine, root: Path) -> str:
    """Build the service's image and return its name."""
    assert (root / "service" / "assets" / "agcnn.onnx").exists(), "no artefact to ship"
    certificates = os.environ.get("PIP_CERT", "")
    secret = ("--secret", f"id=ca,src={certificates}") if certificates else ()
    dockerfile = str(root / "docker" / "service.Dockerfile")
    engine.build("-f", dockerfile, *secret, "-t", "agcnn-triage:cpu", str(root))
    return "agcnn-triage:cpu"


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the secrets that the compose file mounts, without those that hold a key of the service."""
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
def obtain_image(engine: Engine, root: Path) -> Callable[[str], None]:
    """Return a function that pulls the published image of a service or, if it cannot, builds a stand-in."""
    profiles = [option for name in ("postgres", "pacs", "viewer", "observe") for option in ("--profile", name)]
    config = engine.run("compose", "-f", str(root / "docker-compose.yml"), *profiles, "config", "--format", "json")
    services = json.loads(config)["services"]

    def get(service: str) -> None:
        name = services[service]["image"]
        if any(engine.try_run(*command, name).returncode == 0 for command in (("image", "inspect"), ("pull", "-q"))):
            return
        context = root / "tests" / "docker"
        stand_in = ("-f", str(context / "stand_ins.Dockerfile"), "--target", STAND_INS[service])
        engine.build(*stand_in, "-t", name, str(context))

    return get


@pytest.fixture(scope="module")
def deploy(
    engine: Engine, image: str, root: Path, secrets: Path, obtain_image: Callable[[str], None]
) -> Iterator[Callable[..., Deployment]]:
    """Return a function that prepares a deployment of profiles, with blanks between, and the published images it uses.

    Deployments are taken down after the module.
    """
    deployments: list[Deployment] = []

    def start(profiles: str, *images: str) -> Deployment:
        for name in images:
            obtain_image(name)
        deployment = Deployment(engine, root, profiles, secrets)
        deployments.append(deployment)
        return deployment

    yield start
    for deployment in deployments:
        deployment.down()


@pytest.fixture(scope="session")
def samples(root: Path) -> dict[str, bytes]:
    """The phantoms that ship, by name."""
    return {path.stem: path.read_bytes() for path in sorted((root / "samples").glob("*.dcm"))}
