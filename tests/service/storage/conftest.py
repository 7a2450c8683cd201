"""Records to store, and a fresh database to store them in."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.storage.database import Database
from service.storage.record import Record
from service.storage.records import Records
from tests.postgresql import PostgreSQL
from tests.service.records import record

Make = Callable[..., Record]
POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.postgresql)

on_sqlite = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("url", [POSTGRESQL], indirect=True)


@pytest.fixture
def make() -> Make:
    """Return a function that makes a record with a new file at each call; arguments replace its fields."""
    numbers = iter(range(10_000))

    def _make(**changes: Any) -> Record:
        number = next(numbers)
        rng = np.random.default_rng(number)
        values: dict[str, Any] = {
            "instance_file": f"{number:032x}.dcm",
            "heat_map": rng.random((7, 5), dtype=np.float32),
            "class_maps": rng.normal(size=(14, 7, 5)).astype(np.float32),
        }
        return record(**(values | changes))

    return _make


@pytest.fixture(params=["sqlite", POSTGRESQL])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the URL of a database without records: a file that is not there yet, or one on a server."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'new folder' / 'triage.sqlite'}"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    with server.database() as url:
        yield url


@pytest.fixture(scope="module", params=["sqlite", POSTGRESQL])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Return a database for property tests, which empty it for each example."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('list') / 'triage.sqlite'}"
        else:
            server: PostgreSQL = request.getfixturevalue("postgresql")
            url = stack.enter_context(server.database())
        database = Database(url)
        database.open()
        yield database
        database.close()


@pytest.fixture
def records(url: str) -> Iterator[Records]:
    opened = Records(url)
    opened.open()
    yield opened
    opened.close()
