from tests.service.conftest import artefact as artefact
