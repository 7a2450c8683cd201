"""Records to store, and a fresh database to store them in."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.storage.record import Record
from service.storage.records import Records
from tests.service.records import record

Make = Callable[..., Record]


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


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'new folder' / 'triage.sqlite'}"


@pytest.fixture
def records(url: str) -> Iterator[Records]:
    opened = Records(url)
    opened.open()
    yield opened
    opened.close()
