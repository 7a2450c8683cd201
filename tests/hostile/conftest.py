from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a valid artefact with a small, fast network."""
    from tests.artefacts import tiny_artefact  # imports torch, which most tests do not need

    return tiny_artefact(tmp_path_factory.mktemp("artefact"))
