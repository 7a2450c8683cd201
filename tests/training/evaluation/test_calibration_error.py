import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.bootstrap import entry, resamples
from training.evaluation.calibration_error import BINS, binned_errors, calibration_error
from training.evaluation.metrics import ranking

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=40)


def arrays(pairs: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([score for score, _ in pairs], float), np.array([flag for _, flag in pairs], bool)


def test_calibration_error_is_that_of_fifteen_equal_slices() -> None:
    generator = np.random.default_rng(1)
    scores = generator.random(600)  # no ties, 40 in a bin
    positive = generator.random(600) < scores**2
    slices = np.array_split(np.argsort(scores), 15)
    expected = np.mean([abs(scores[rows].mean() - positive[rows].mean()) for rows in slices])
    assert calibration_error(ranking(scores, positive), np.ones((1, 600)))[0] == pytest.approx(expected)


def test_calibration_error_by_hand() -> None:
    scores, positive = np.array([0.2] * 10 + [0.9] * 10), np.array([True] * 2 + [False] * 8 + [True] * 7 + [False] * 3)
    value = calibration_error(ranking(scores, positive), np.ones((1, 20)))
    assert value[0] == pytest.approx(0.5 * 0 + 0.5 * 0.2)  # two bins only, as equal probabilities stay together


@given(PAIRS, st.randoms())
def test_scores_do_not_depend_on_the_order_of_images(pairs: list[tuple[int, bool]], chance: st.DataObject) -> None:
    shuffled = list(pairs)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    one, two = (ranking(scores / 6, positive) for scores, positive in (arrays(pairs), arrays(shuffled)))
    ones = np.ones((1, len(pairs)))
    assert calibration_error(one, ones) == pytest.approx(calibration_error(two, ones))


def kumar(probabilities: np.ndarray, positive: np.ndarray) -> float:
    """The estimate of Kumar et al. for bins of equal probabilities, bin by bin."""
    total = 0.0
    for value in np.unique(probabilities):
        truth = positive[probabilities == value]
        share, count = truth.mean(), len(truth)
        total += count / len(positive) * ((share - value) ** 2 - share * (1 - share) / (count - 1))
    return total


def test_the_debiased_error_is_kumar_s_for_one_image_per_patient() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.choice([0.1, 0.3, 0.8], 200)
    positive = generator.random(200) < probabilities
    errors = binned_errors(probabilities, positive, np.arange(200))
    assert errors.squared(np.ones((1, 200)))[0] == pytest.approx(kumar(probabilities, positive))
    shares = [(positive[probabilities == value].mean() - value) ** 2 for value in probabilities]
    assert errors.squared(np.ones((1, 200)), debiased=False)[0] == pytest.approx(np.mean(shares))


def test_images_of_one_patient_are_not_independent_evidence() -> None:
    """Each image twice: twice the images, but the same patients, so that the estimate is that of single images."""
    generator = np.random.default_rng(1)
    probabilities, positive = generator.random(300), generator.random(300) < 0.4
    single = binned_errors(probabilities, positive, np.arange(300))
    twice = binned_errors(np.repeat(probabilities, 2), np.repeat(positive, 2), np.repeat(np.arange(300), 2))
    assert twice.squared(np.ones((1, 600)))[0] == pytest.approx(single.squared(np.ones((1, 300)))[0])


def test_weights_count_a_patient_as_often_as_they_say() -> None:
    """By hand for one bin: excess of each patient and their number of images, with copies as other patients."""
    probabilities, positive = np.full(5, 0.4), np.array([True, True, False, False, True])
    patients = np.array([0, 0, 1, 2, 2])
    drawn = np.array([2, 1, 0])  # how often each patient counts
    excess, images = np.array([1.2, 1.2, -0.4]), np.array([2, 2, 1])
    gap = excess.sum() / images.sum()
    variance = ((excess - gap * images) ** 2).sum() / images.sum() ** 2 * 3 / 2
    errors = binned_errors(probabilities, positive, patients)
    assert errors.squared(drawn[patients][None].astype(float))[0] == pytest.approx(gap**2 - variance)


def test_the_debiased_error_of_calibrated_probabilities_is_0_on_average_and_the_customary_one_is_not() -> None:
    generator, debiased, customary, shifted = np.random.default_rng(2), [], [], []
    ones = np.ones((1, 300))
    for _ in range(200):
        probabilities = generator.random(300)
        positive = generator.random(300) < probabilities
        debiased.append(binned_errors(probabilities, positive, np.arange(300)).squared(ones)[0])
        customary.append(calibration_error(ranking(probabilities, positive), ones)[0])
        shifted.append(binned_errors(0.8 * probabilities + 0.2, positive, np.arange(300)).squared(ones)[0])
    spread = 3 / np.sqrt(200)
    assert abs(np.mean(debiased)) < spread * np.std(debiased)
    assert np.mean(customary) > 0.05
    # 0.2 (1 - p), of mean square 0.04 / 3; the bins average it, which costs less than a hundredth of it
    assert np.mean(shifted) == pytest.approx(0.04 / 3, abs=spread * np.std(shifted))


def test_resampling_biases_the_customary_error() -> None:
    """Frequencies scatter once more, so that a percentile interval lies above the value."""
    generator = np.random.default_rng(5)
    probabilities = generator.random(300)
    ranked = ranking(probabilities, generator.random(300) < probabilities)
    patients = [str(number) for number in range(300)]
    drawn = resamples(patients, 200).evaluate(lambda weights: calibration_error(ranked, weights))
    assert (drawn[1:] > drawn[0]).mean() > 0.95


@pytest.mark.parametrize("shift", [0.0, 0.15])
def test_the_interval_contains_its_value_and_the_truth(shift: float) -> None:
    generator, covered = np.random.default_rng(3), 0
    for _ in range(20):
        probabilities = generator.random(200)
        positive = generator.random(200) < np.clip(probabilities - shift, 0, 1)
        errors = binned_errors(probabilities, positive, np.arange(200))
        drawn = resamples([str(number) for number in range(200)], 200).evaluate(errors.squared)
        centre = errors.squared(np.ones((1, 200)), debiased=False)[0]
        drawn[1:] = drawn[0] + centre - drawn[1:]
        row = entry(np.sqrt(np.maximum(drawn, 0)))
        low, high = row["interval"]  # type: ignore[misc]
        assert low <= row["value"] <= high  # type: ignore[operator]
        truth = np.sqrt(np.mean((probabilities - np.clip(probabilities - shift, 0, 1)) ** 2))
        covered += low - 0.01 <= truth <= high + 0.01
    assert covered >= 17


def test_bins_are_those_of_the_customary_error() -> None:
    generator = np.random.default_rng(4)
    probabilities, positive = np.round(generator.random(400), 2), generator.random(400) < 0.3
    errors = binned_errors(probabilities, positive, np.arange(400))
    assert len(errors.starts) == BINS
    parts = np.split(errors.order, errors.starts[1:])
    gaps = [abs((positive[part] - probabilities[part]).sum()) / 400 for part in parts]
    expected = calibration_error(ranking(probabilities, positive), np.ones((1, 400)))[0]
    assert sum(gaps) == pytest.approx(expected)


def test_without_images_the_debiased_error_is_undefined() -> None:
    errors = binned_errors(np.zeros(0), np.zeros(0, bool), np.zeros(0, np.int64))
    assert np.isnan(errors.squared(np.zeros((2, 0)))).all()
