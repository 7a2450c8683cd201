"""The classifiers of starting weights for other labels: their rows are matched by the name of the label."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from model.labels import NO_FINDING

CLASSIFIERS = tuple(
    f"{part}.classifier.{name}" for part in ("global_branch", "local_branch", "fusion") for name in ("weight", "bias")
)


def output_names(labels: Sequence[str], count: int) -> tuple[str, ...]:
    """Return the names of a network's outputs: its labels and, if it has one output more, No Finding."""
    return (*labels, NO_FINDING)[:count]


def match_rows(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], theirs: Sequence[str], ours: Sequence[str]
) -> dict[str, Tensor]:
    """Return starting weights whose classifiers have the outputs of another network.

    Parameters
    ----------
    state, own
        Starting weights and the weights of the network, name to tensor `[...]`.
    theirs, ours
        Names of the outputs of both.

    Returns
    -------
    dict
        `state`; a row of a classifier is that of the output of the same name, or the network's own if there is none.
    """
    matched = dict(state)
    for name in CLASSIFIERS:
        if name in state and len(state[name]) == len(theirs) and state[name].shape[1:] == own[name].shape[1:]:
            rows = own[name].clone()
            for output in set(theirs) & set(ours):
                rows[ours.index(output)] = state[name][theirs.index(output)]
            matched[name] = rows
    return matched


def differences(theirs: Sequence[str], ours: Sequence[str]) -> list[str]:
    """Return a line for each output that only one network has, in the order of the outputs."""
    missing = [f"label {name}: not in the starting weights" for name in ours if name not in theirs]
    return missing + [f"label {name}: only in the starting weights" for name in theirs if name not in ours]
