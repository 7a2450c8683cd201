"""The fixture `make` of the storage tests, for these tests too."""

from tests.service.storage.conftest import make

__all__ = ["make"]
