"""Pools of decoder processes for tests."""

from service.dicom.policy import Policy
from service.dicom.reader import Bounds
from service.prediction.cage import Cage, libraries
from service.prediction.decoders import Decoders
from tests.conftest import ROOT

MEMORY = 2 * 2**30


def pool(workers: int = 1, seconds: float = 20, policy: Policy = Policy(), mode: str = "auto") -> Decoders:  # noqa: B008
    """Return a pool whose processes may also read the tests, whose functions they call."""
    return Decoders(workers, seconds, Cage(MEMORY, mode, (*libraries(), ROOT)), Bounds(), policy)
