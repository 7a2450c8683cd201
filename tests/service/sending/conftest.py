from tests.service.storage.conftest import make as make
