"""The labels that training has seen: those of which a positive was in the data."""

from collections.abc import Iterable
from pathlib import Path

from training.data.cache import Canvases
from training.fit import checkpoint


def untrained_labels(images: Canvases, earlier: Iterable[Path]) -> tuple[str, ...]:
    """Return the labels without a positive in the images of a run and of the runs before it, in order.

    The output of such a label means nothing: near the prevalence it was started at, or below.

    Parameters
    ----------
    earlier
        Folders of starting weights and teachers. One that is not a run of this project, or that was written before runs
        stated their untrained labels, counts as having seen none.
    """
    present = (images.targets == 1).any(0)
    seen = {label for label, is_present in zip(images.labels, present, strict=True) if is_present}
    seen = seen.union(*(stated_labels(run) for run in earlier))
    return tuple(label for label in images.labels if label not in seen)


def stated_labels(run: Path) -> set[str]:
    """Return the labels that a run and the runs before it have seen, as it states them; none if it does not."""
    if not (run / checkpoint.DOCUMENT).is_file():
        return set()
    document = checkpoint.read_json(run / checkpoint.DOCUMENT)
    return set(checkpoint.labels_of(document)) - set(document["untrained"]) if "untrained" in document else set()
