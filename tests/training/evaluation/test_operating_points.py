"""Operating points, and the reasons why a finding has none."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binomtest

from tests.training.cases import cases, predicted
from training.evaluation.calibration import Calibration
from training.evaluation.operating_points import Choice, Terms, choose
from training.evaluation.predictions import Predictions

AS_THEY_ARE = Calibration(np.ones((3, 1)), np.zeros((3, 1)))
WHOLE, B = Terms("here"), Terms("here", "B")


def images(logits: np.ndarray, positive: np.ndarray, collections: str) -> Predictions:
    """Predictions of one finding; `collections` has one letter per image."""
    rows = tuple(
        replace(case, collection=collection)
        for case, collection in zip(cases(positive[:, None]), collections, strict=True)
    )
    return replace(predicted(np.stack([logits[:, None]] * 3), rows), labels=("Edema",))


def chosen(scores: Predictions, terms: Terms = WHOLE) -> Choice:
    (choice,) = choose(scores, AS_THEY_ARE, terms)
    return choice


def ladder(hits: int, positives: int, negatives: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Logits and truth: the negatives rise from -1 to 1; `hits` of the positives are above all, the rest below all."""
    found = np.arange(positives) < hits
    logits = np.concatenate([np.linspace(-1, 1, negatives), np.where(found, 2.0, -2.0)])
    return logits, np.arange(negatives + positives) >= negatives


def test_a_sensitivity_of_zero_makes_no_operating_point() -> None:
    """The fault: such a point was active, and gave radiographs a priority."""
    choice = chosen(images(*ladder(0, 31), "B" * 131))
    assert choice.point is None
    assert choice.reason == "sensitivity 0.000 (31 positives), its lower bound 0.000 not above 0.05"


@pytest.mark.parametrize(("hits", "exists"), [(2, False), (3, True)])
def test_a_point_exists_if_the_exact_lower_bound_is_above_chance(hits: int, exists: bool) -> None:
    """Of ten positives, three hits have a lower bound above 5 %, two have not."""
    low = binomtest(hits, 10).proportion_ci(method="exact").low
    assert (low > 0.05) == exists
    choice = chosen(images(*ladder(hits, 10), "B" * 110))
    assert (choice.point is not None, choice.reason == "") == (exists, exists)


def test_the_floor_can_be_set() -> None:
    scores = images(*ladder(9, 10), "B" * 110)  # lower bound 0.555
    assert chosen(scores, Terms("here", "", 0.5)).point is not None
    assert "not above 0.6" in chosen(scores, Terms("here", "", 0.6)).reason
    assert chosen(images(*ladder(1, 10), "B" * 110), Terms("here", "", 0.0)).point is not None


@pytest.mark.parametrize(
    ("positives", "negatives", "reason"),
    [(9, 100, "9 positives, fewer than 10"), (40, 9, "9 negatives in the images, fewer than 10")],
)
def test_too_few_images_make_no_point(positives: int, negatives: int, reason: str) -> None:
    scores = images(*ladder(positives, positives, negatives), "B" * (positives + negatives))
    assert chosen(scores) == Choice("Edema", None, reason)


def test_the_collection_alone_decides_where_it_has_enough() -> None:
    logits, positive = ladder(10, 10)
    beside = images(np.append(logits, np.full(50, 9.0)), np.append(positive, np.zeros(50, bool)), "B" * 110 + "A" * 50)
    point = chosen(beside, B).point
    assert point is not None
    assert (point.positives, point.negatives, point.sensitivity) == (10, 100, 1.0)
    assert point.source == "here, collection B"


def test_positives_of_other_collections_count_where_the_collection_has_too_few() -> None:
    logits, positive = ladder(18, 24)
    point = chosen(images(logits, positive, "B" * 50 + "A" * 50 + "A" * 16 + "B" * 8), B).point
    assert point is not None
    assert (point.positives, point.negatives, point.sensitivity) == (24, 100, 0.75)
    assert point.source == "here, all collections (collection B has 8 positives)"
    last = expit(np.linspace(-1, 1, 100)[-3:-1])  # A has the upper fifty negatives, of which two may be above
    assert point.threshold == pytest.approx(last.mean())
    assert point.specificity == 0.98


@pytest.mark.parametrize("beside", [200, 20])
def test_a_network_that_only_tells_the_collections_apart_gets_no_point(beside: int) -> None:
    """All positives lie in A. By the negatives of B alone, or of both in one, its sensitivity would be high."""
    generator = np.random.default_rng(0)
    collections = "B" * 1000 + "A" * (beside + 50)
    positive = np.arange(len(collections)) >= 1000 + beside
    logits = np.where(np.array(list(collections)) == "A", 3.0, -3.0) + generator.normal(0, 0.1, len(collections))
    choice = chosen(images(logits, positive, collections), B)
    assert choice.point is None
    assert "not above 0.05" in choice.reason


def test_a_collection_without_negatives_lends_no_positives() -> None:
    """Nothing shows whether its positives score high for the finding or for the collection."""
    logits, positive = ladder(24, 24)
    choice = chosen(images(logits, positive, "B" * 100 + "A" * 16 + "B" * 8), B)
    assert choice == Choice("Edema", None, "8 positives, fewer than 10")


def test_unknown_targets_count_neither_way() -> None:
    logits, positive = ladder(10, 10)
    targets = np.append(positive.astype(float), [np.nan] * 20)
    point = chosen(images(np.append(logits, np.full(20, 5.0)), targets, "B" * 130)).point
    assert point is not None
    assert (point.positives, point.negatives) == (10, 100)
