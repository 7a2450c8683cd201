"""One branch of AG-CNN: a backbone, a global pooling and a linear classifier."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple, get_args

from torch import Tensor, nn
from torch.nn import functional

from model import densenet, efficientnet_lite, nonlocal_block, resnet, self_attention, squeeze_excitation, squeezenet
from model.normalisation import GREY, Scale, normalise

Pooling = Literal["max", "average"]


class Backbone(NamedTuple):
    """How to build a trunk and load published weights into it.

    Attributes
    ----------
    first
        Name of the first convolution's weight in a `Branch`.
    branch_name
        Function from a parameter's published name to its name in a `Branch`.
    to_grey
        Function from published parameters `[...]` to parameters `[...]` whose first convolution takes one channel.
    """

    build: Callable[[], nn.Sequential]
    channels: int
    first: str
    to_grey: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
    branch_name: Callable[[str], str] = str


DENSENET = Backbone(
    densenet.densenet121, densenet.CHANNELS, "features.conv0.weight", densenet.to_grey, densenet.branch_name
)
RESNET = Backbone(resnet.resnet50, resnet.CHANNELS, "features.conv1.weight", resnet.to_grey, resnet.branch_name)

LITE = Backbone(
    efficientnet_lite.BUILD["efficientnet_lite0"],
    efficientnet_lite.CHANNELS,
    "features.conv_stem.weight",
    efficientnet_lite.to_grey,
    efficientnet_lite.branch_name,
)

BACKBONES: dict[str, Backbone] = {
    "densenet121": DENSENET,
    **{name: LITE._replace(build=build) for name, build in efficientnet_lite.BUILD.items()},
    "hybrid_resnet50": RESNET._replace(build=self_attention.hybrid_resnet50),
    "nonlocal_resnet50": RESNET._replace(build=nonlocal_block.nonlocal_resnet50),
    "resnet50": RESNET,
    "sasa_conv_stem_resnet50": RESNET._replace(build=self_attention.sasa_conv_stem_resnet50),
    "sasa_resnet50": RESNET._replace(build=self_attention.sasa_resnet50),
    "se_densenet121": DENSENET._replace(build=squeeze_excitation.se_densenet121),
    "se_resnet50": RESNET._replace(build=squeeze_excitation.se_resnet50),
    "squeezenet1_1": Backbone(squeezenet.squeezenet1_1, squeezenet.CHANNELS, "features.0.weight", squeezenet.to_grey),
}

# Prefixes of torchvision's names: `module.` is that of DataParallel; the others are attributes of classes that CheXNet,
# TorchXRayVision and others put around a network.
WRAPPERS = re.compile(r"^(?:module\.|model\.|net\.|backbone\.|densenet121\.|resnet50\.)+")


class BranchOutput(NamedTuple):
    """The output of a branch: `features [B, C, h, w]` ≥ 0, `pooled [B, C]`, `logits [B, K]`."""

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
    scale
        Scale to which display values are normalised before the backbone.

    Raises
    ------
    ValueError
        An unknown backbone or pooling.
    """

    def __init__(self, backbone: str, findings: int = 14, pooling: Pooling = "max", scale: Scale = GREY) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ValueError(f"backbone must be one of {', '.join(sorted(BACKBONES))}, got {backbone!r}")
        if pooling not in get_args(Pooling):
            raise ValueError(f"pooling must be one of {', '.join(get_args(Pooling))}, got {pooling!r}")
        self.backbone = backbone
        self.pooling = pooling
        self.scale = scale
        self.channels = BACKBONES[backbone].channels
        self.features = BACKBONES[backbone].build()
        self.classifier = nn.Linear(self.channels, findings)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, image: Tensor) -> BranchOutput:
        """Classify display values `[B, 1, H, W] float32 in [0, 1]`, with any H and W that the backbone supports."""
        return self.classify(self.features(normalise(image, self.scale)))

    def forward_with_mirror(self, image: Tensor) -> BranchOutput:
        """Classify the mean of the features of an image and of its mirror image, mirrored back.

        With average pooling, the logits are the means of the two images' logits.
        """
        plain, mirrored = (self.features(normalise(each, self.scale)) for each in (image, image.flip(3)))
        return self.classify((plain + mirrored.flip(3)) / 2)

    def classify(self, features: Tensor) -> BranchOutput:
        """Pool and classify features `[B, C, h, w]`."""
        pooled = features.amax((2, 3)) if self.pooling == "max" else features.mean((2, 3))
        return BranchOutput(features, pooled, self.classifier(pooled))

    def class_maps(self, features: Tensor) -> Tensor:
        """Apply the classifier at each position: `[B, C, h, w]` to logits `[B, K, h, w]`."""
        return functional.conv2d(features, self.classifier.weight[:, :, None, None], self.classifier.bias)


def load_trunk(branch: Branch, state: Mapping[str, Tensor]) -> list[str]:
    """Load the fitting tensors of a published state; the rest of the branch is not changed.

    A first convolution with three channels `[C, 3, kh, kw]` must be for torchvision's normalisation
    (`squeezenet.read_trunk` converts the published `.npz`); it is folded into one channel. One with a single channel is
    loaded unchanged. A classifier with equally many findings is assumed to have them in the same order.

    Parameters
    ----------
    branch
        Changed in place.
    state
        State dict of torchvision (also with the older DenseNet names), of CheXNet, or of a `Branch`.

    Returns
    -------
    list of str
        Names that did not match, sorted: only in the state, only in the branch, or of another shape; without the step
        counters of batch norms, which are not weights.

    Raises
    ------
    KeyError
        The first convolution has three channels, and the parameter that takes the offset of folding is missing; the
        argument is its name.
    """
    backbone, published = BACKBONES[branch.backbone], branch_names(branch.backbone, state)
    values = {name: state[theirs] for name, theirs in published.items()}
    first = values.get(backbone.first)
    if first is not None and first.ndim == 4 and first.shape[1] == 3:
        values = backbone.to_grey(values)
    own = branch.state_dict()
    fitting = {name: value for name, value in values.items() if name in own and value.shape == own[name].shape}
    branch.load_state_dict({**own, **fitting})
    unmatched = (own.keys() - fitting.keys()) | (state.keys() - {published[name] for name in fitting})
    return sorted(name for name in unmatched if not name.endswith("num_batches_tracked"))


def branch_names(backbone: str, published: Iterable[str]) -> dict[str, str]:
    """Return the name in a `Branch` to the published name; of two names for one parameter, the last."""
    return {BACKBONES[backbone].branch_name(WRAPPERS.sub("", name)): name for name in published}
