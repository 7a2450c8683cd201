import json
from dataclasses import replace

import numpy as np
import pytest

from service.artefact.card import Localisation
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
    assert "class_map" not in entry  # files of older versions have no class maps
    low, high = entry["peak_interval"]
    assert 0 <= low <= entry["peak"] <= high <= 1


def test_the_peak_of_a_class_map_is_compared_with_the_boxes_of_its_finding() -> None:
    part = set_of("ab", (LEFT, RIGHT))
    class_peaks = np.full((2, 14, 2), 0.5, np.float32)  # in RIGHT
    class_peaks[0, part.labels.index("Mass")] = 0.1  # in LEFT
    entry = card_localisation({"test": replace(part, class_peaks=class_peaks)})
    assert entry
    assert (entry["peak"], entry["class_map"]) == (0.5, 1)
    shuffled = np.roll(class_peaks, 1, axis=1)
    other = card_localisation({"test": replace(part, class_peaks=shuffled)})
    assert other
    assert other["class_map"] == 0.5
    assert Localisation.model_validate_json(json.dumps(entry)).class_map == 1


def test_without_boxes_there_is_none() -> None:
    assert card_localisation({"test": set_of("ab")}) is None
