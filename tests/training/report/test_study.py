import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.cases import predicted
from tests.training.folder import folder
from training.data.listing import listing
from training.evaluation.assessment import OUT_OF_FOLD
from training.evaluation.scores import Part
from training.report.calibration_source import VALIDATION
from training.report.study import Scored, study

DOCUMENT = {"training_data": [{"name": "tiny train+val", "images": 32, "patients": 16, "role": "stages global"}]}


def scored(folder: Path, collection: str = "B") -> Scored:
    """The folder's own lists, all of train and val held out by a fold."""
    splits = listing(folder).splits
    test, both = (tuple(splits["test"]), (*splits["train"], *splits["val"]))
    held_out, tested = (predicted(np.zeros((3, len(cases), 14)), cases) for cases in (both, test))
    return Scored(Part(OUT_OF_FOLD, held_out, ()), tested, collection)


def test_a_run_that_was_trained_on_the_evaluated_folder(published: Path) -> None:
    plan = {"data": str(published), "split": "train+val", "fold": None}
    found = study(plan, DOCUMENT, published, scored(published))
    assert [each["name"] for each in found["flow"]["folders"]] == ["tiny"]
    steps = {use["use"]: (use["images"], use["patients"]) for use in found["flow"]["uses"]}
    assert steps == {
        "trained on": (32, 16),
        "calibrated on: out-of-fold, train+val": (32, 16),
        "scored": (8, 4),
    }
    assert [use.get("within", {}).get("images") for use in found["flow"]["uses"]] == [None, 12, 2]
    splits = {row["split"]: row["images"] for row in found["characteristics"]}
    assert splits == {"train": 24, "val": 8, "test": 8, "test, collection B": 2}
    assert found["characteristics"][0]["age"]["median"] == 50
    assert set(found["software"]) > {"python", "torch", "numpy"}
    json.dumps(found, allow_nan=False)


def test_a_run_that_was_trained_on_another_folder(published: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.symlink_to(published)
    plan = {"data": str(other), "split": "train+val", "fold": None}
    found = study(plan, DOCUMENT, published, scored(published, ""))
    assert [row["split"] for row in found["characteristics"]] == ["train, tiny", "val, tiny", "test"]
    assert [each["used"] for each in found["flow"]["folders"]] == [["train", "val"], ["test"]]


@pytest.mark.parametrize("plan", [None, {"data": "/gone", "split": "train+val", "fold": None}])
def test_without_the_training_folder_the_evaluated_one_is_described(
    published: Path, plan: dict[str, str | None] | None
) -> None:
    """The splits train and val of the evaluated folder are not presented as those of the run."""
    found = study(plan, DOCUMENT, published, scored(published, ""))
    assert found["flow"]["training_folders"] == []
    assert [row["split"] for row in found["characteristics"]] == ["test"]
    assert [use["use"] for use in found["flow"]["uses"]] == ["trained on"] * bool(plan) + [
        "calibrated on: out-of-fold, train+val",
        "scored",
    ]


def test_every_folder_of_training_is_described(published: Path, tmp_path: Path) -> None:
    plan = {"data": str(published), "further": [str(folder(tmp_path / "own"))], "split": "train", "fold": None}
    document = {"training_data": [{"images": 26, "patients": 13}]}
    found = study(plan, document, published, scored(published, ""))
    assert [row["split"] for row in found["characteristics"]] == [
        "train, tiny",
        "val, tiny",
        "train, own",
        "val, own",
        "test",
    ]
    trained_on = found["flow"]["uses"][0]
    assert (trained_on["images"], trained_on["patients"], trained_on["excluded"]) == (26, 13, [])


def test_a_run_may_be_calibrated_on_val_or_not_at_all(published: Path) -> None:
    plan = {"data": str(published), "split": "train", "fold": None}
    val = tuple(listing(published).splits["val"])
    own = Part(VALIDATION, predicted(np.zeros((3, 8, 14)), val), ())
    uses = study(plan, DOCUMENT, published, replace(scored(published, ""), held_out=own))["flow"]["uses"]
    assert [(use["use"], use["splits"], use["images"], use["excluded"]) for use in uses[1:]] == [
        ("calibrated on: validation", ["val"], 8, []),
        ("scored", ["test"], 8, []),
    ]
    without = study(plan, DOCUMENT, published, replace(scored(published, ""), held_out=None))["flow"]["uses"]
    assert [use["use"] for use in without] == ["trained on", "scored"]
