from tests.service.inference.conftest import artefact as artefact
from tests.service.inference.conftest import artefact_path as artefact_path
from tests.service.inference.conftest import canvases as canvases
from tests.service.inference.conftest import session as session
