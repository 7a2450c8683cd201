from math import nan

import numpy as np
import pytest

from training.data.cache import Canvases
from training.data.relabel import relabel
from training.data.sample import Case
from training.errors import TrainingError


def images(*labels: str) -> Canvases:
    case = Case("a", "p", (1.0, 0.0, nan), boxes=dict.fromkeys(labels, ((0, 0, 1, 1),)))
    return Canvases("own", np.zeros((1, 8, 8), np.uint8), np.arange(1), (case,), labels=labels)


def test_findings_are_put_in_the_order_of_the_labels_and_others_are_unknown() -> None:
    changed = relabel(images("Mass", "Cyst", "Edema"), ("Edema", "Fracture", "Cyst", "Mass"))
    np.testing.assert_equal(changed.targets, np.array([[nan, nan, 0, 1]], np.float32))
    assert changed.labels == ("Edema", "Fracture", "Cyst", "Mass")
    assert relabel(images("Mass", "Cyst", "Edema"), ("Cyst",)).cases[0].boxes == {"Cyst": ((0, 0, 1, 1),)}


def test_images_with_none_of_the_labels_are_refused() -> None:
    with pytest.raises(TrainingError, match="own: expected one of the labels Fracture, Hernia at least"):
        relabel(images("Mass", "Cyst", "Edema"), ("Fracture", "Hernia"))
