"""What a reviewer asks about a study beside its scores: patient flow, Table 1, software and failures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

from training.data.listing import SPLITS, Listing, listing
from training.data.sample import Case
from training.errors import TrainingError
from training.evaluation.assessment import suffix
from training.evaluation.calibration import Calibration
from training.evaluation.characteristics import characteristics
from training.evaluation.failures import failures
from training.evaluation.predictions import Predictions
from training.evaluation.scores import Part
from training.fit import checkpoint
from training.fit.lineage import PLAN
from training.report.calibration_source import VALIDATION
from training.report.flow import folder, size, size_of, step, trained

PACKAGES = ("torch", "lightning-fabric", "numpy", "scipy", "pillow")
NOT_HELD_OUT = "not held out, or patients of the starting weights or teachers"

Row = dict[str, Any]


@dataclass(frozen=True)
class Folders:
    """The folders of data of a study.

    Attributes
    ----------
    training
        The folders of the run's plan; none if one of them is gone, or if they are not known.
    test
        The folder whose test list is scored, often one of those.
    """

    training: tuple[Listing, ...]
    test: Listing

    @property
    def used(self) -> Iterator[tuple[Listing, tuple[str, ...]]]:
        """Yield each folder once, those of training first, with the splits that the study used."""
        for listed in self.training:
            yield listed, SPLITS if listed is self.test else SPLITS[:-1]
        if not any(listed is self.test for listed in self.training):
            yield self.test, SPLITS[-1:]


def folders(plan: Mapping[str, Any] | None, data: Path) -> Folders:
    """List the images of the folders of a run's `plan.json`, and of the evaluated folder `data`."""
    test, trained = listing(data), [plan["data"], *plan.get("further", ())] if plan else []
    try:
        return Folders(tuple(test if Path(each) == data.resolve() else listing(Path(each)) for each in trained), test)
    except TrainingError:  # moved or deleted since
        return Folders((), test)


def read_plan(run: Path) -> Row | None:
    """Read the plan of a run; None if it has none."""
    return checkpoint.read_json(run / PLAN) if (run / PLAN).is_file() else None


@dataclass(frozen=True)
class Scored:
    """The predictions of an evaluation, as far as its patient flow needs them.

    Attributes
    ----------
    held_out
        Images that were not trained on, of which those of `collection` calibrate; None for none.
    test
        Predictions of the test list.
    collection
        Collection within which every score is given too; empty for none.
    """

    held_out: Part | None
    test: Predictions
    collection: str


def study(plan: Mapping[str, Any] | None, document: Mapping[str, Any], data: Path, scored: Scored) -> Row:
    """Return the entries `flow`, `characteristics` and `software` of `metrics.json`.

    Parameters
    ----------
    plan
        Content of the run's `plan.json`; None if it has none.
    document
        Content of the run's `run.json`.
    data
        Folder whose test list is scored.
    """
    found = folders(plan, data)
    return {
        "flow": {
            "folders": [folder(listed, splits) for listed, splits in found.used],
            "training_folders": [listed.name for listed in found.training],
            "uses": list(uses(plan, document, found, scored)),
        },
        "characteristics": table_one(found, scored),
        "software": {"python": python_version(), **{name: version(name) for name in PACKAGES}},
    }


def uses(plan: Mapping[str, Any] | None, document: Mapping[str, Any], found: Folders, scored: Scored) -> Iterator[Row]:
    """Yield what was done with the splits: trained on, calibrated on, scored."""
    entries = document["training_data"]
    if plan is not None and entries:
        yield trained(plan, entries[-1], found.training)
    if scored.held_out is not None:
        yield calibrated(scored.held_out, found.training) | within(scored.held_out.predictions, scored.collection)
    test = size(scored.test.cases)
    yield step("scored", "test", test, test, "") | within(scored.test, scored.collection)


def calibrated(held_out: Part, listed: Sequence[Listing]) -> Row:
    """Return the step of the images that were held out of training, for calibration."""
    splits, left = "val" if held_out.split == VALIDATION else "train+val", size(held_out.predictions.cases)
    whole = size_of(listed, splits) if listed else left
    return step(f"calibrated on: {held_out.split}", splits, left, whole, NOT_HELD_OUT)


def within(predicted: Predictions, collection: str) -> Row:
    """Return the entry `within`, the images of the named collection; nothing if none is named."""
    return {"within": {"collection": collection, **size(predicted.within(collection).cases)}} if collection else {}


def table_one(found: Folders, scored: Scored) -> list[Row]:
    """Describe train, val and test and, if a collection is named, its part of the test list."""
    rows: list[Row] = []
    for listed in found.training:
        names = {split: in_folder(split, listed, found) for split in SPLITS[:-1] if listed.splits[split]}
        rows += characteristics({name: listed.splits[split] for split, name in names.items()}, listed.labels)
    test: dict[str, Sequence[Case]] = {"test": scored.test.cases}
    if scored.collection:
        test["test" + suffix(scored.collection)] = scored.test.within(scored.collection).cases
    return rows + characteristics(test, scored.test.labels)


def in_folder(split: str, listed: Listing, found: Folders) -> str:
    """Return the name of a split of a training folder, with the folder's unless it is the only one of the study."""
    alone = len(found.training) == 1 and listed is found.test
    return split if alone else f"{split}, {listed.name}"


def failure_entries(part: Part, calibration: Calibration) -> Row:
    """Return the entries `failures` and `failures_of`, the images of a part that its fusion branch gets most wrong."""
    listed = failures(part.predictions, calibration.probabilities(part.predictions.logits)[0])
    return {"failures": [asdict(each) for each in listed], "failures_of": part.split}
