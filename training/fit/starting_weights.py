"""Starting weights: those of a run or an artefact, matched by label, or a published backbone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from model.agcnn import Agcnn, AgcnnConfig
from model.branch import load_trunk
from model.labels import LABELS
from training.errors import TrainingError
from training.fit.artefact_weights import SUFFIX, read_artefact, require_whole_parts, unfold_batch_norms
from training.fit.checkpoint import COUNTER, DOCUMENT, labels_of, read_json, read_state
from training.fit.classifier_rows import CLASSIFIERS, differences, match_rows, output_names


def initialise(network: Agcnn, path: Path, labels: Sequence[str] = LABELS) -> list[str]:
    """Load starting weights: those of a run's network, or a published trunk, which goes into the global branch.

    With a trunk the rest of the network, including the local branch, is not changed. The classifiers of a run with
    other labels are matched by label. Where the file's labels are not known, its classifiers are taken for those of
    ChestX-ray14, and loaded only for these labels.

    Parameters
    ----------
    network
        Changed in place.
    path
        File of weights, see `read_state`.
    labels
        Labels of the network.

    Returns
    -------
    list of str
        Names that did not match, sorted: only in the file, only in the network, or of another shape; then labels.

    Raises
    ------
    TrainingError
        The file cannot be read, or contains fewer than half of the global branch's tensors.
    """
    state = read_state(path)
    if path.suffix == SUFFIX:
        state = unfold_batch_norms(network, state)
        require_whole_parts(network, state, path)
    whole = any(name.startswith("global_branch.") for name in state)
    try:
        unmatched = load_whole(network, path, state, labels) if whole else load_branch(network, state, labels)
    except KeyError as error:
        raise TrainingError(f"{path}: the first convolution has three channels, but {error} is missing") from error
    prefix = "global_branch.features." if whole else "features."
    names = [name for name in network.global_branch.features.state_dict() if not name.endswith(COUNTER)]
    missing = sorted({prefix + name for name in names}.intersection(unmatched))
    if 2 * len(missing) > len(names):
        count = f"{len(missing)} of the {len(names)} weights of {network.config.backbone}"
        raise TrainingError(f"{path}: lacks {count}, first: {', '.join(missing[:3])}")
    return unmatched


def with_scale_of(config: AgcnnConfig, weights: Path | None) -> AgcnnConfig:
    """Return a configuration with the scale of the run or artefact of the starting weights; unchanged for others."""
    if weights is None:
        return config
    if weights.suffix == SUFFIX:
        start = read_artefact(weights)[1]["network"]
    elif (weights.parent / DOCUMENT).is_file():
        start = read_json(weights.parent / DOCUMENT)["network"]
    else:
        return config
    default = AgcnnConfig()
    mean, std = start.get("pixel_mean", default.pixel_mean), start.get("pixel_std", default.pixel_std)
    return replace(config, pixel_mean=mean, pixel_std=std)


def stated_labels(path: Path) -> tuple[str, ...] | None:
    """Return the labels that an artefact, or the document beside a run's weights, states; None if there is neither."""
    if path.suffix == SUFFIX:
        return tuple(read_artefact(path)[1]["labels"])
    document = path.parent / DOCUMENT
    return labels_of(read_json(document)) if document.is_file() else None


def load_whole(network: Agcnn, path: Path, state: Mapping[str, Tensor], labels: Sequence[str]) -> list[str]:
    """Load the weights of a run's network, in place; returns the names and labels that did not match."""
    own, stated = network.state_dict(), stated_labels(path)
    if stated is None:
        known = state if tuple(labels) == LABELS else {name: state[name] for name in state if name not in CLASSIFIERS}
        return load_network(network, known)
    outputs = len(state.get(CLASSIFIERS[0], ()))
    theirs, ours = output_names(stated, outputs), output_names(labels, network.config.findings)
    return load_network(network, match_rows(state, own, theirs, ours)) + differences(theirs, ours)


def load_branch(network: Agcnn, state: Mapping[str, Tensor], labels: Sequence[str]) -> list[str]:
    """Load a published trunk into the global branch, in place; returns the names that did not match."""
    classifier = network.global_branch.classifier
    own = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    unmatched = load_trunk(network.global_branch, state)
    if tuple(labels) == LABELS:
        return unmatched
    classifier.load_state_dict(own)
    return sorted({*unmatched, *(f"classifier.{name}" for name in own)})


def load_network(network: Agcnn, state: Mapping[str, Tensor]) -> list[str]:
    """Load the tensors `[...]` of another state that fit, in place; returns the names that did not match, sorted."""
    own = network.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and value.shape == own[name].shape}
    network.load_state_dict({**own, **fitting})
    return sorted(name for name in (own.keys() | state.keys()) - fitting.keys() if not name.endswith(COUNTER))
