"""A record to keep, and a fresh database to keep it in."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.storage.record import Record
from service.storage.records import Records

Make = Callable[..., Record]


@pytest.fixture
def make() -> Make:
    """A record; each call another file, and what is named overrides."""
    made = iter(range(10_000))

    def _make(**wanted: Any) -> Record:
        number = next(made)
        rng = np.random.default_rng(number)
        values: dict[str, Any] = {
            "study_instance_uid": "1.2.3",
            "series_instance_uid": "1.2.3.4",
            "sop_instance_uid": "1.2.3.4.5",
            "accession_number": "A-1",
            "attributes": {"PatientName": "Nobody^Ann", "Modality": "DX"},
            "display_sha256": "d" * 64,
            "artefact_sha256": "a" * 64,
            "instance_file": f"{number:032x}.dcm",
            "instance_bytes": 1234,
            "priority": "STAT",
            "margin": 0.1 + 0.2,
            "body": {"findings": [{"label": "Pneumothorax", "probability": 0.1}], "box": [0, 1, 2, 3], "ä": None},
            "heat_map": rng.random((7, 5), dtype=np.float32),
            "class_maps": rng.normal(size=(14, 7, 5)).astype(np.float32),
        }
        return Record(**(values | wanted))

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
