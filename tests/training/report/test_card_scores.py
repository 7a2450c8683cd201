import numpy as np
import pytest

from tests.training.cases import predicted
from training.data.sample import Box, Case
from training.evaluation.predictions import Predictions
from training.report.card_scores import card_localisation

LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)


def set_of(patients: str, boxes: tuple[Box, ...] = ()) -> Predictions:
    """Images 0, 1, ... of these patients, with one box each if there are any."""
    cases = tuple(
        Case(str(number), patient, (0.0,) * 14, boxes={"Mass": (boxes[number],)} if boxes else {})
        for number, patient in enumerate(patients)
    )
    return predicted(np.zeros((3, len(cases), 14)), cases)  # all peaks are the middle, which lies in RIGHT


def test_localisation_is_pooled_over_the_sets_that_have_boxes() -> None:
    one, two = set_of("ab", (LEFT, LEFT)), set_of("cd", (LEFT, RIGHT))
    entry = card_localisation({"one test": one, "none": set_of("x"), "two test": two})
    assert entry
    assert (entry["source"], entry["images"], entry["boxes"]) == ("one test, two test", 4, 4)
    assert entry["peak"] == pytest.approx(0.25)
    assert entry["fixed_cell"] == pytest.approx(0.75)
    low, high = entry["peak_interval"]
    assert 0 <= low <= entry["peak"] <= high <= 1


def test_without_boxes_there_is_none() -> None:
    assert card_localisation({"test": set_of("ab")}) is None
