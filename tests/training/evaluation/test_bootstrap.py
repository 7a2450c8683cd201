import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from training.evaluation import bootstrap
from training.evaluation.bootstrap import entry, interval, resamples
from training.evaluation.metrics import Numbers, auroc, curve, quotient, ranking


def every(patients: list[str], count: int = 1000, seed: int = 0) -> np.ndarray:
    return np.concatenate(list(resamples(patients, count, seed).weights()))


def test_the_first_resample_is_the_images_as_they_are() -> None:
    np.testing.assert_array_equal(every(["b", "a", "b"])[0], 1)


def test_patients_are_drawn_whole() -> None:
    weights = every(["a", "a", "b", "c", "c", "c"], 500, seed=1)
    assert weights.shape == (501, 6)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    np.testing.assert_array_equal(weights[:, 3], weights[:, 5])
    np.testing.assert_array_equal(weights[:, [0, 2, 3]].sum(1), 3)
    assert weights[1:, 0].mean() == pytest.approx(1, abs=0.15)


def test_equal_patients_and_seed_give_equal_draws() -> None:
    np.testing.assert_array_equal(every(["a", "b", "c"]), every(["a", "b", "c"]))
    assert (every(["a", "b", "c"]) != every(["a", "b", "c"], seed=1)).any()


def test_blocks_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    patients, values = ["a", "b", "b", "c"], np.array([1.0, 2.0, 3.0, 4.0])

    def mean(weights: Numbers) -> Numbers:
        return quotient(weights @ values, weights.sum(1))

    whole = resamples(patients).evaluate(mean)
    monkeypatch.setattr(bootstrap, "ELEMENTS", 9)
    np.testing.assert_array_equal(resamples(patients).evaluate(mean), whole)
    assert whole[0] == 2.5


def test_a_sample_equals_resampling_by_hand() -> None:
    generator = np.random.default_rng(2)
    scores, positive = generator.random(20), generator.random(20) < 0.5
    patients = [str(number // 2) for number in range(20)]
    ranked = ranking(scores, positive)
    drawn = resamples(patients).evaluate(lambda weights: auroc(curve(ranked, weights)))
    for row in (0, 1, 101, 999):
        picked = np.repeat(np.arange(20), every(patients)[row].astype(int))
        assert drawn[row] == pytest.approx(roc_auc_score(positive[picked], scores[picked]))


def test_the_interval_has_its_nominal_coverage() -> None:
    generator, covered = np.random.default_rng(4), 0
    for _ in range(60):
        positive = generator.random(150) < 0.3
        ranked = ranking(generator.normal(positive * 1.0, 1), positive)  # AUROC = Phi(1 / sqrt 2) = 0.7602
        drawn = resamples([str(n) for n in range(150)], 400).evaluate(lambda w, ranked=ranked: auroc(curve(ranked, w)))
        low, high = interval(drawn)
        covered += low < 0.7602 < high
    assert covered >= 51


def test_the_interval_excludes_the_value_and_undefined_samples() -> None:
    assert interval(np.array([9.0, 1.0, np.nan, 1.0])) == (1, 1)
    assert np.isnan(interval(np.array([0.5, np.nan]))).all()


def test_entries_have_null_for_nan() -> None:
    assert entry(np.array([0.5, 0.4, 0.4])) == {"value": 0.5, "interval": [0.4, 0.4]}
    assert entry(np.array([np.nan, 0.4])) == {"value": None, "interval": None}
    assert entry(np.array([0.5, np.nan])) == {"value": 0.5, "interval": None}


def test_no_patients_give_empty_samples() -> None:
    assert every([]).shape == (1001, 0)
