import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from training.report.curves import MAX_POINTS, precision_recall, reliability, roc, stairs, thinned

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40).filter(
    lambda pairs: len({positive for _, positive in pairs}) == 2
)


def split(pairs: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([score for score, _ in pairs], float), np.array([positive for _, positive in pairs])


@given(PAIRS)
def test_roc_is_sklearns(pairs: list[tuple[int, bool]]) -> None:
    scores, positive = split(pairs)
    alarms, hits, _ = roc_curve(positive, scores, drop_intermediate=False)
    points = roc(scores, positive)
    np.testing.assert_allclose(points, np.stack([alarms, hits], 1))
    assert np.trapezoid(points[:, 1], points[:, 0]) == pytest.approx(roc_auc_score(positive, scores))


@given(PAIRS)
def test_precision_and_recall_are_sklearns(pairs: list[tuple[int, bool]]) -> None:
    scores, positive = split(pairs)
    precision, recall, _ = precision_recall_curve(positive, scores)
    points = precision_recall(scores, positive)
    np.testing.assert_allclose(points[::-1], np.stack([recall, precision], 1)[:-1])
    steps = stairs(points)
    assert np.trapezoid(steps[:, 1], steps[:, 0]) == pytest.approx(average_precision_score(positive, scores))


def test_precision_and_recall_by_hand() -> None:
    points = precision_recall(np.array([0.9, 0.8, 0.8, 0.1]), np.array([True, False, True, False]))
    np.testing.assert_allclose(points, [[0.5, 1], [1, 2 / 3], [1, 0.5]])
    expected = [[0, 1], [0.5, 1], [0.5, 2 / 3], [1, 2 / 3], [1, 0.5], [1, 0.5]]
    np.testing.assert_allclose(stairs(points), expected)


def test_reliability_by_hand() -> None:
    """Forty images make two bins: the lower twenty at 0.1, a quarter positive; the upper at 0.6, all positive."""
    probabilities = np.array([0.1, 0.6] * 20)
    positive = np.array([number % 8 == 0 or number % 2 == 1 for number in range(40)])
    np.testing.assert_allclose(reliability(probabilities, positive), [[0.1, 0.25], [0.6, 1]])


@pytest.mark.parametrize(("images", "bins"), [(1, 1), (39, 1), (64, 3), (258, 12), (300, 15), (9000, 15)])
def test_reliability_has_few_bins_of_enough_images(images: int, bins: int) -> None:
    assert len(reliability(np.linspace(0, 1, images), np.ones(images, bool))) == bins


@pytest.mark.parametrize("count", [1, 2, MAX_POINTS, MAX_POINTS + 1, 10_000])
def test_thinned_keeps_both_ends(count: int) -> None:
    points = np.stack([np.arange(count), np.arange(count)], 1).astype(float)
    few = thinned(points)
    assert len(few) == min(count, MAX_POINTS)
    assert few[0, 0] == 0
    assert few[-1, 0] == count - 1
