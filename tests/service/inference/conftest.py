"""A small artefact for these tests, loaded once."""

from pathlib import Path

import numpy as np
import pytest

from service.artefact.file import Artefact, load
from service.inference.session import Session
from tests.artefacts import smooth_canvases, tiny_artefact


@pytest.fixture(scope="session")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Artefact:
    return load(tiny_artefact(tmp_path_factory.mktemp("artefact")))


@pytest.fixture(scope="session")
def artefact_path(artefact: Artefact) -> Path:
    return artefact.path


@pytest.fixture(scope="session")
def session(artefact: Artefact) -> Session:
    return Session(artefact, "cpu", 1)


@pytest.fixture(scope="session")
def canvases() -> np.ndarray:
    """Return `[8, 1, 128, 128] float32 in [0, 1]`."""
    return np.stack(smooth_canvases(8, seed=3))
