"""The labels that training has seen: those of which a positive was in the data."""

from collections.abc import Iterable
from pathlib import Path

from training.data.cache import Canvases
from training.fit import checkpoint
from training.fit.artefact_weights import SUFFIX, read_artefact


def untrained_labels(images: Canvases, earlier: Iterable[Path]) -> tuple[str, ...]:
    """Return the labels without a positive in the images of a run and of the runs before it, in order.

    The output of such a label means nothing: near the prevalence it was started at, or below.

    Parameters
    ----------
    earlier
        Files of starting weights and folders of teachers. One that is neither an artefact nor of a run of this project,
        or that was written before runs stated their untrained labels, counts as having seen none.
    """
    present = (images.targets == 1).any(0)
    seen = {label for label, is_present in zip(images.labels, present, strict=True) if is_present}
    seen = seen.union(*(stated_labels(run) for run in earlier))
    return tuple(label for label in images.labels if label not in seen)


def stated_labels(earlier: Path) -> set[str]:
    """Return the labels that an artefact, or a run and those before it, has seen; none if it does not state them."""
    if earlier.suffix == SUFFIX:
        card = read_artefact(earlier)[1]
        return set(card["labels"]) - set(card.get("untrained", ()))
    run = earlier if earlier.is_dir() else earlier.parent
    if not (run / checkpoint.DOCUMENT).is_file():
        return set()
    document = checkpoint.read_json(run / checkpoint.DOCUMENT)
    return set(checkpoint.labels_of(document)) - set(document["untrained"]) if "untrained" in document else set()
