import logging
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
import structlog

from service import telemetry
from service.cli import app as cli
from tests.postgresql import PostgreSQL, running

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
