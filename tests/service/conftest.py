import logging
import secrets
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
import structlog

from service import telemetry
from service.cli import app as cli
from tests.postgresql import PostgreSQL, running
from tests.service.s3_server import BUCKET, KEY, SECRET, S3Server, s3_server

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a valid artefact with a small, fast network."""
    from tests.artefacts import tiny_artefact  # imports torch, which most tests do not need

    return tiny_artefact(tmp_path_factory.mktemp("artefact"))


@pytest.fixture(scope="session")
def five_labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of an artefact of five labels without a second look."""
    from tests.five_labels import five_label_artefact

    return five_label_artefact(tmp_path_factory.mktemp("five_labels"))


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Return a running server of S3-compatible storage; a test that kills it starts it again."""
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Set the variables of AWS that the server's client needs, and return them."""
    variables = {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture(autouse=True)
def _patient_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the readiness probe wait a minute for storage, as long as the tests wait for anything."""
    monkeypatch.setattr("service.prediction.storage_probe._LONGEST_SECONDS", 60.0)


@pytest.fixture
def prefix() -> str:
    """Return a prefix of the test's own in the bucket of `s3`."""
    return secrets.token_hex(4)


@pytest.fixture
def in_bucket(s3: S3Server, aws: dict[str, str], prefix: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the settings of storage, without the folder, that name the bucket of `s3`; probes wait for it."""
    monkeypatch.setattr("service.storage.bucket._PROBE_SECONDS", 60.0)
    return {"url": f"s3://{BUCKET}/{prefix}", "endpoint": s3.address}


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """Return a PostgreSQL server."""
    with running() as server:
        yield server


@pytest.fixture
def log() -> Iterator[StringIO]:
    """Return the log of the service during the test, in the format of a file."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []  # `configure` would close pytest's own handlers
    stream = StringIO()
    telemetry.configure(stream)
    yield stream
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command in this process: exit status, standard output, standard error."""
    monkeypatch.setenv("TRIAGE_STORAGE__FOLDER", str(tmp_path / "data"))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["triage", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run
