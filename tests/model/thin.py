"""Backbones with few blocks, but every kind of operator, which are built, run and exported much faster."""

import pytest

from model import densenet, resnet
from model.branch import BACKBONES


def thin(patch: pytest.MonkeyPatch) -> None:
    """Make every backbone of `BACKBONES` shallow, until the patch is undone."""
    patch.setattr(resnet, "BLOCKS", (1, 1, 2, 1))  # two where the non-local block stands between
    patch.setattr(densenet, "BLOCKS", (1, 1, 1, 1))
    channels = densenet.densenet121()[-2].num_features
    for name in ("densenet121", "se_densenet121"):
        patch.setitem(BACKBONES, name, BACKBONES[name]._replace(channels=channels))
