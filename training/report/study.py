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
from training.evaluation.characteristics import characteristics
from training.evaluation.failures import failures
from training.evaluation.predictions import Predictions
from training.evaluation.scores import Part
from training.fit import checkpoint
from training.fit.lineage import PLAN
from training.report.flow import folder, size, step, trained

PACKAGES = ("torch", "lightning-fabric", "monai", "numpy", "scipy", "pillow")
NOT_HELD_OUT = "in no fold, or patients of the starting weights or teachers"

Row = dict[str, Any]


@dataclass(frozen=True)
class Folders:
    """The folders of data of a study.

    Attributes
    ----------
    training
        The folder of the run's plan, None if it is gone or not known; often the same as `test`.
    test
        The folder whose test list is scored.
    """

    training: Listing | None
    test: Listing

    @property
    def used(self) -> Iterator[tuple[Listing, tuple[str, ...]]]:
        """Yield each folder once, that of training first, with the splits that the study used."""
        if self.training is self.test:
            yield self.test, SPLITS
            return
        if self.training is not None:
            yield self.training, SPLITS[:-1]
        yield self.test, SPLITS[-1:]


def folders(plan: Mapping[str, Any] | None, data: Path) -> Folders:
    """List the images of the folder of a run's `plan.json`, and of the evaluated folder `data`."""
    test = listing(data)
    if plan is None:
        return Folders(None, test)
    if Path(plan["data"]) == data.resolve():
        return Folders(test, test)
    try:
        return Folders(listing(Path(plan["data"])), test)
    except TrainingError:  # moved or deleted since
        return Folders(None, test)


def read_plan(run: Path) -> Row | None:
    """Read the plan of a run; None if it has none."""
    return checkpoint.read_json(run / PLAN) if (run / PLAN).is_file() else None


@dataclass(frozen=True)
class Scored:
    """The predictions of an evaluation, as far as its patient flow needs them.

    Attributes
    ----------
    held_out
        Out-of-fold predictions; those of `collection` calibrate.
    test
        Predictions of the test list.
    collection
        Collection within which every score is given too; empty for none.
    """

    held_out: Predictions
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
            "training_folder": found.training and found.training.name,
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
    lists = found.training
    held_out = size(scored.held_out.cases)
    listed = size([*lists.splits["train"], *lists.splits["val"]]) if lists else held_out
    calibration = step("calibrated on, out of fold", "train+val", held_out, listed, NOT_HELD_OUT)
    test = size(scored.test.cases)
    yield calibration | within(scored.held_out, scored.collection)
    yield step("scored", "test", test, test, "") | within(scored.test, scored.collection)


def within(predicted: Predictions, collection: str) -> Row:
    """Return the entry `within`, the images of the named collection; nothing if none is named."""
    return {"within": {"collection": collection, **size(predicted.within(collection).cases)}} if collection else {}


def table_one(found: Folders, scored: Scored) -> list[Row]:
    """Describe train, val and test and, if a collection is named, its part of the test list."""
    rows: list[Row] = []
    if found.training:
        names = {split: in_folder(split, found) for split in ("train", "val") if found.training.splits[split]}
        splits = {name: found.training.splits[split] for split, name in names.items()}
        rows += characteristics(splits, found.training.labels)
    test: dict[str, Sequence[Case]] = {"test": scored.test.cases}
    if scored.collection:
        test["test" + suffix(scored.collection)] = scored.test.within(scored.collection).cases
    return rows + characteristics(test, scored.test.labels)


def in_folder(split: str, found: Folders) -> str:
    """Return the name of a split of the training folder, with the folder's if the test list is in another."""
    return split if found.training is None or found.training is found.test else f"{split}, {found.training.name}"


def failure_entries(part: Part) -> Row:
    """Return the entries `failures` and `failures_of`, the images of a part that its fusion branch gets most wrong."""
    listed = failures(part.predictions, part.readings[0].probabilities[""])
    return {"failures": [asdict(each) for each in listed], "failures_of": part.split}
