"""The fixture `make` of the storage tests, for these tests too; and certificates."""

import pytest

from tests.service.sending.certificates import Pki
from tests.service.storage.conftest import make

__all__ = ["make", "pki"]


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Return a hospital's authority, and a stranger's."""
    return Pki(tmp_path_factory.mktemp("certificates"))
