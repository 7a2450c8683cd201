"""All that a folder's tables name, by split, with what is in none: the start of a study's patient flow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.data import chestxray14
from training.data.sample import Case
from training.data.sources import read

SPLITS = ("train", "val", "test")
SIDE = 8  # pixels; no image is read here, so any size will do
UNLISTED = "in no list"


@dataclass(frozen=True)
class Listing:
    """The rows of a folder's tables.

    Attributes
    ----------
    splits
        Name of each split to its cases.
    excluded
        Reason to the cases that are in no split for it.
    """

    name: str
    labels: tuple[str, ...]
    splits: Mapping[str, Sequence[Case]]
    excluded: Mapping[str, Sequence[Case]]

    @property
    def cases(self) -> list[Case]:
        """Every case, in a split or excluded."""
        return [case for part in (*self.splits.values(), *self.excluded.values()) for case in part]


def listing(folder: Path) -> Listing:
    """List the images of a folder of data, without reading them.

    Raises
    ------
    TrainingError
        The tables do not fit, or images of a split are missing.
    """
    sources = {split: read(folder, split, SIDE) for split in SPLITS}
    splits = {split: source.cases for split, source in sources.items()}
    return Listing(folder.resolve().name, sources["test"].labels, splits, excluded(folder, splits))


def excluded(folder: Path, splits: Mapping[str, Sequence[Case]]) -> dict[str, list[Case]]:
    """Return the cases that the published table names and no list does; a table of one's own has none."""
    if not chestxray14.published_table(folder):
        return {}
    listed = {case.image for cases in splits.values() for case in cases}
    rest = [case for case in chestxray14.records(folder) if case.image not in listed]
    return {UNLISTED: rest} if rest else {}
