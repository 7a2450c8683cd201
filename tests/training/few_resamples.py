"""Few resamples of the bootstrap, which are faster where a test does not depend on their number.

As a script it is the command `agcnn` with few resamples, which Fabric can start again for further processes.
"""

from functools import partial

import pytest

from training.cli.app import main
from training.evaluation.bootstrap import resamples

COUNT = 20
USERS = ("scores", "localisation")  # modules that draw resamples


def few_resamples(patch: pytest.MonkeyPatch) -> None:
    """Draw few resamples, until the patch is undone."""
    for module in USERS:
        patch.setattr(f"training.evaluation.{module}.resamples", partial(resamples, count=COUNT))


if __name__ == "__main__":
    few_resamples(pytest.MonkeyPatch())
    main()
