from collections.abc import Iterator

import pytest

from service import settings
from service.storage.records import Records
from service.storage.url import database_url
from tests.service.conftest import Run


@pytest.fixture
def records(run: Run) -> Iterator[Records]:
    records = Records(database_url(settings.load()))
    records.open()
    yield records
    records.close()
