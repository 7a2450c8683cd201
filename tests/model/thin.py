"""Backbones of few blocks, which have every kind of operator but are faster to build, run and export."""

import pytest

from model import densenet, resnet
from model.branch import BACKBONES


def thin(patch: pytest.MonkeyPatch) -> None:
    """Reduce every backbone of `BACKBONES` to few blocks, until the patch is undone."""
    patch.setattr(resnet, "BLOCKS", (1, 1, 2, 1))  # two blocks in the group that has the non-local block
    patch.setattr(densenet, "BLOCKS", (1, 1, 1, 1))
    channels = densenet.densenet121()[-2].num_features
    for name in ("densenet121", "se_densenet121"):
        patch.setitem(BACKBONES, name, BACKBONES[name]._replace(channels=channels))
