from dataclasses import replace

import numpy as np
import pytest

from tests.training.cases import cases, predicted
from training.evaluation import failures as module
from training.evaluation.failures import failures
from training.evaluation.predictions import Predictions


def two_labels(truth: np.ndarray) -> Predictions:
    return replace(predicted(np.zeros((3, *truth.shape)), cases(truth)), labels=("Mass", "Edema"))


def test_the_highest_negatives_and_the_lowest_positives_by_hand() -> None:
    truth = np.array([[0, 1], [1, 1], [0, 1], [1, np.nan], [0, 1], [np.nan, 1], [0, 1]])
    mass = [0.2, 0.3, 0.9, 0.1, 0.4, 0.99, 0.4]
    listed = failures(two_labels(truth), np.stack([mass, [0.5] * 7], 1))
    of_mass = [(each.kind, int(each.image), each.probability) for each in listed if each.label == "Mass"]
    assert of_mass == [
        ("negative", 2, 0.9),
        ("negative", 4, 0.4),  # before its equal, as it is in the table
        ("negative", 6, 0.4),
        ("positive", 3, 0.1),
        ("positive", 1, 0.3),
    ]
    assert [(each.kind, int(each.image)) for each in listed if each.label == "Edema"] == [
        ("positive", row) for row in (0, 1, 2)
    ]


def test_a_patient_is_listed_once_for_each_finding() -> None:
    test = two_labels(np.zeros((4, 2)))
    test = replace(test, cases=tuple(replace(case, patient="p") for case in test.cases[:3]) + test.cases[3:])
    listed = failures(test, np.array([[0.1, 0.9], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]]))
    assert [(each.label, int(each.image)) for each in listed] == [("Mass", 1), ("Mass", 3), ("Edema", 0), ("Edema", 3)]


@pytest.mark.parametrize(("total", "most"), [(96, 3), (8, 2), (5, 1), (0, 1)])
def test_the_number_of_pictures_is_bounded(monkeypatch: pytest.MonkeyPatch, total: int, most: int) -> None:
    monkeypatch.setattr(module, "TOTAL", total)
    truth = np.tile([[0.0], [1.0]], (5, 2))
    listed = failures(two_labels(truth), np.full((10, 2), 0.5))
    assert len(listed) == 2 * 2 * most
