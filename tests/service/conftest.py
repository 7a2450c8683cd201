import logging
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
import structlog

from service import telemetry
from service.cli import app as cli

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network that answers quickly, in an artefact that fits the contract."""
    from tests.artefacts import tiny_artefact  # brings torch: only for those who ask

    return tiny_artefact(tmp_path_factory.mktemp("artefact"))


@pytest.fixture
def log() -> Iterator[StringIO]:
    """What the service logs meanwhile, as it does to a file."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []  # pytest's own are not to be closed
    stream = StringIO()
    telemetry.configure(stream)
    yield stream
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process; gives exit status, standard output and standard error."""
    monkeypatch.setenv("TRIAGE_STORAGE__FOLDER", str(tmp_path / "data"))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["triage", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run
