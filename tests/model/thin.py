"""Backbones of few blocks, which have every kind of operator but are faster to build, run and export."""

import pytest

from model import densenet, efficientnet_lite, resnet
from model.branch import BACKBONES

# The other EfficientNet-Lite differ from Lite0 only in numbers of blocks and channels, and in a stride.
DISTINCT = tuple(
    sorted(name for name in BACKBONES if not name.startswith("efficientnet_lite") or name == "efficientnet_lite0")
)


def thin(patch: pytest.MonkeyPatch) -> None:
    """Reduce every backbone of `BACKBONES` to few blocks, until the patch is undone."""
    patch.setattr(resnet, "BLOCKS", (1, 1, 2, 1))  # two blocks in the group that has the non-local block
    patch.setattr(densenet, "BLOCKS", (1, 1, 1, 1))
    # Two repeats of a stage, so that one block has a shortcut
    stages = [
        (kernel, min(repeats, 2) if number == 1 else 1, *rest)
        for number, (kernel, repeats, *rest) in enumerate(efficientnet_lite.STAGES)
    ]
    patch.setattr(efficientnet_lite, "STAGES", tuple(stages))
    channels = densenet.densenet121()[-2].num_features
    for name in ("densenet121", "se_densenet121"):
        patch.setitem(BACKBONES, name, BACKBONES[name]._replace(channels=channels))
