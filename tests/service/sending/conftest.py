"""The fixture `make` of the storage tests, for these tests too; and certificates."""

import pytest

from service.sending import tls
from tests.service.sending.certificates import Pki
from tests.service.storage.conftest import make

__all__ = ["make", "pki"]


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Return a hospital's authority, and a stranger's."""
    return Pki(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the alert of a server that is slow to refuse a certificate."""
    monkeypatch.setattr(tls, "_ALERT_SECONDS", 30.0)
