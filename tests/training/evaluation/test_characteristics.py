from dataclasses import replace
from math import nan

from training.data.sample import Case
from training.evaluation.characteristics import characteristics, spread

CASES = (
    Case("1", "p1", (1.0, 0.0), "A", "F", 40.0, "PA"),
    Case("2", "p1", (nan, 0.0), "A", "F", 41.0, "AP"),
    Case("3", "p1", (0.0, 1.0), "A", "F", 90.0, "AP"),
    Case("4", "p2", (0.0, nan), "", "M", 60.0, ""),
    Case("5", "p3", (1.0, 1.0), "B", "", None, "PA"),
)


def test_a_split_by_hand() -> None:
    """Ages of p1 and p2 at their first images are 40 and 60; p3 has none."""
    (row,) = characteristics({"test": CASES}, ("Mass", "Edema"))
    assert row == {
        "split": "test",
        "images": 5,
        "patients": 3,
        "images_per_patient": {"median": 1.0, "quartiles": [1.0, 2.0], "range": [1.0, 3.0]},
        "age": {"median": 50.0, "quartiles": [45.0, 55.0], "range": [40.0, 60.0], "missing": 1},
        "sex": {"F": 1, "M": 1, "unknown": 1},
        "view": {"PA": 2, "AP": 2, "unknown": 1},
        "collection": {"A": 3, "B": 1, "unknown": 1},
        "findings": {
            "Mass": {"positives": 2, "negatives": 2, "unknown": 1},
            "Edema": {"positives": 2, "negatives": 2, "unknown": 1},
        },
    }


def test_a_split_without_images_or_ages_has_no_medians() -> None:
    nothing, ageless = characteristics({"val": (), "test": [replace(CASES[0], age=None)]}, ("Mass", "Edema"))
    assert (nothing["images"], nothing["sex"], nothing["age"]["missing"]) == (0, {}, 0)
    assert nothing["findings"]["Edema"] == {"positives": 0, "negatives": 0, "unknown": 0}
    assert ageless["age"] == {**spread([]), "missing": 1}
    assert ageless["age"]["median"] is None
