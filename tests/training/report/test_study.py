import json
from pathlib import Path

import numpy as np
import pytest

from tests.training.cases import predicted
from training.data.listing import listing
from training.report.study import Scored, study

DOCUMENT = {"training_data": [{"name": "tiny train+val", "images": 32, "patients": 16, "role": "stages global"}]}


def scored(folder: Path, collection: str = "B") -> Scored:
    """The folder's own lists, all of train and val held out by a fold."""
    splits = listing(folder).splits
    test, both = (tuple(splits["test"]), (*splits["train"], *splits["val"]))
    return Scored(*(predicted(np.zeros((3, len(cases), 14)), cases) for cases in (both, test)), collection)


def test_a_run_that_was_trained_on_the_evaluated_folder(published: Path) -> None:
    plan = {"data": str(published), "split": "train+val", "fold": None}
    found = study(plan, DOCUMENT, published, scored(published))
    assert [folder["name"] for folder in found["flow"]["folders"]] == ["tiny"]
    steps = {use["use"]: (use["images"], use["patients"]) for use in found["flow"]["uses"]}
    assert steps == {
        "trained on": (32, 16),
        "calibrated on, out of fold": (32, 16),
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
    assert [folder["used"] for folder in found["flow"]["folders"]] == [["train", "val"], ["test"]]


@pytest.mark.parametrize("plan", [None, {"data": "/gone", "split": "train+val", "fold": None}])
def test_without_the_training_folder_the_evaluated_one_is_described(
    published: Path, plan: dict[str, str | None] | None
) -> None:
    """The splits train and val of the evaluated folder are not presented as those of the run."""
    found = study(plan, DOCUMENT, published, scored(published, ""))
    assert found["flow"]["training_folder"] is None
    assert [row["split"] for row in found["characteristics"]] == ["test"]
    assert [use["use"] for use in found["flow"]["uses"]] == ["trained on"] * bool(plan) + [
        "calibrated on, out of fold",
        "scored",
    ]
