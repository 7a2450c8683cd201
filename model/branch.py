"""One branch of AG-CNN: a backbone, a global pooling and a linear classifier."""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, get_args

from torch import Tensor, nn
from torch.nn import functional

from model import densenet, resnet, squeezenet
from model.normalisation import normalise

Pooling = Literal["max", "average"]


class Backbone(NamedTuple):
    """How a trunk is built and how published weights are fitted to it."""

    build: Callable[[], nn.Sequential]
    channels: int
    first: str
    to_grey: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]


BACKBONES: dict[str, Backbone] = {
    "densenet121": Backbone(densenet.densenet121, densenet.CHANNELS, "features.conv0.weight", densenet.to_grey),
    "resnet50": Backbone(resnet.resnet50, resnet.CHANNELS, "features.conv1.weight", resnet.to_grey),
    "squeezenet1_1": Backbone(squeezenet.squeezenet1_1, squeezenet.CHANNELS, "features.0.weight", squeezenet.to_grey),
}


class BranchOutput(NamedTuple):
    """What a branch makes of an image: `features [B, C, h, w]` ≥ 0, `pooled [B, C]`, `logits [B, K]`."""

    features: Tensor
    pooled: Tensor
    logits: Tensor


class Branch(nn.Module):
    """Backbone, global pooling, classifier.

    Parameters
    ----------
    backbone
        A name in `BACKBONES`.
    findings
        K, the number of logits.
    pooling
        `max` as in the paper, or `average`.

    Raises
    ------
    ValueError
        An unknown backbone or pooling.
    """

    def __init__(self, backbone: str, findings: int = 14, pooling: Pooling = "max") -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ValueError(f"backbone must be one of {', '.join(sorted(BACKBONES))}, got {backbone!r}")
        if pooling not in get_args(Pooling):
            raise ValueError(f"pooling must be one of {', '.join(get_args(Pooling))}, got {pooling!r}")
        self.backbone = backbone
        self.pooling = pooling
        self.channels = BACKBONES[backbone].channels
        self.features = BACKBONES[backbone].build()
        self.classifier = nn.Linear(self.channels, findings)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, image: Tensor) -> BranchOutput:
        """Classify display values `[B, 1, H, W] float32 in [0, 1]`; any H and W the backbone can take."""
        features = self.features(normalise(image))
        pooled = features.amax((2, 3)) if self.pooling == "max" else features.mean((2, 3))
        return BranchOutput(features, pooled, self.classifier(pooled))

    def class_maps(self, features: Tensor) -> Tensor:
        """Apply the classifier at each position: `[B, C, h, w]` to logits `[B, K, h, w]`."""
        return functional.conv2d(features, self.classifier.weight[:, :, None, None], self.classifier.bias)


def load_trunk(branch: Branch, state: Mapping[str, Tensor]) -> list[str]:
    """Load what fits of a state with torchvision's names; the rest of the branch stays as it is.

    Weights of a three-channel first convolution must be for torchvision's normalisation (`squeezenet.read_trunk` makes
    such a state of the published `.npz`); they are folded into one channel. Those of a one-channel one are taken as
    they are.

    Parameters
    ----------
    branch
        Changed in place.
    state
        A torchvision state dict (also of the older DenseNet naming), or the state dict of a `Branch`.

    Returns
    -------
    list of str
        Names that did not match, sorted: in the state and not in the branch, the other way round, or of another shape.
        The step counters of batch norm are no weights and are left out.
    """
    state = densenet.modern_names(state)
    backbone = BACKBONES[branch.backbone]
    first = state.get(backbone.first)
    if first is not None and first.ndim == 4 and first.shape[1] == 3:
        state = backbone.to_grey(state)
    own = branch.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and value.shape == own[name].shape}
    branch.load_state_dict({**own, **fitting})
    unmatched = (own.keys() | state.keys()) - fitting.keys()
    return sorted(name for name in unmatched if not name.endswith("num_batches_tracked"))
