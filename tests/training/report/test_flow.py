from itertools import combinations
from typing import Any

from training.data.listing import Listing
from training.data.sample import Case
from training.report.flow import folder, step, trained
from training.report.flow_chart import WIDTH, chart


def listed(name: str = "ours") -> Listing:
    """Two images of each patient: 2 patients in train, 1 in val, 1 in test, 1 in no list."""
    patients = {"train": "ab", "val": "c", "test": "d"}
    splits = {split: cases(names) for split, names in patients.items()}
    return Listing(name, ("Mass",), splits, {"in no list": cases("e")})


def cases(patients: str) -> list[Case]:
    return [Case(f"{patient}{number}.png", patient, (0.0,)) for patient in patients for number in (0, 1)]


def test_a_folder_by_hand() -> None:
    assert folder(listed(), ["test"]) == {
        "name": "ours",
        "used": ["test"],
        "source": {"images": 10, "patients": 5},
        "excluded": [{"reason": "in no list", "images": 2, "patients": 1}],
        "splits": [
            {"split": "train", "images": 4, "patients": 2},
            {"split": "val", "images": 2, "patients": 1},
            {"split": "test", "images": 2, "patients": 1},
        ],
    }


def test_training_leaves_out_the_patients_of_another_folder() -> None:
    plan = {"split": "train+val", "fold": None, "without": "/data/theirs"}
    row = trained(plan, {"images": 4, "patients": 2}, [listed()])
    assert row == {
        "use": "trained on",
        "splits": ["train", "val"],
        "images": 4,
        "patients": 2,
        "excluded": [{"reason": "patients of theirs", "images": 2, "patients": 1}],
    }
    assert trained(plan, {"images": 4, "patients": 2}, [])["excluded"] == []  # the folder is gone


def flow(*used: tuple[str, ...]) -> dict[str, Any]:
    """Folders with equal names, and what each of their splits was used for."""
    uses = [
        step("trained on", "train", {"images": 4, "patients": 2}, {"images": 4, "patients": 2}, ""),
        step("calibrated on", "train+val", {"images": 3, "patients": 2}, {"images": 6, "patients": 3}, "other " * 20),
        step("scored", "test", {"images": 2, "patients": 1}, {"images": 2, "patients": 1}, ""),
    ]
    return {"folders": [folder(listed(), splits) for splits in used], "uses": uses}


def test_the_chart_has_a_box_for_every_step_and_none_overlap() -> None:
    drawn = chart(flow(("train", "val"), ("test",)))
    assert len(drawn.boxes) == 2 * 5 + 3
    for first, second in combinations(drawn.boxes, 2):
        beside = first.x + WIDTH <= second.x or second.x + WIDTH <= first.x
        assert beside or first.bottom[1] < second.y or second.bottom[1] < first.y
    calibrated = next(box for box in drawn.boxes if box.lines[0] == "calibrated on")
    assert calibrated.lines[1:4] == ("3 images", "2 patients", "without 3 images:")
    assert max(len(line) for box in drawn.boxes for line in box.lines) <= 29


def test_arrows_lead_from_the_training_folder_and_from_the_scored_test_list() -> None:
    drawn = chart(flow(("train", "val"), ("test",)))
    ours, theirs = ({box.lines[0]: box for box in part} for part in (drawn.boxes[:5], drawn.boxes[5:10]))
    trained_on, _, scored = drawn.boxes[-3:]
    assert (*ours["train"].bottom, *trained_on.top) in drawn.arrows
    assert (*theirs["test"].bottom, *scored.top) in drawn.arrows
    assert (*ours["test"].bottom, *scored.top) not in drawn.arrows


def test_without_the_training_folder_nothing_leads_to_what_was_trained_on() -> None:
    drawn = chart(flow(("test",)))
    trained_on, calibrated, scored = drawn.boxes[-3:]
    ends = [arrow[2:] for arrow in drawn.arrows]
    assert (ends.count(trained_on.top), ends.count(calibrated.top), ends.count(scored.top)) == (0, 0, 1)
