import logging
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
import structlog

from service import telemetry


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
