from dataclasses import replace

import numpy as np
import pytest

from model.labels import LABELS
from tests.training.evaluation.decisions import part
from training.evaluation.decision_curve import THRESHOLDS, decision_curves


def test_net_benefit_is_that_of_counting_images() -> None:
    whole, mass = part(), LABELS.index("Mass")
    rows = {row["label"]: row for row in decision_curves(whole)}
    assert set(rows) == {*LABELS} - {"Hernia"}  # no positives
    row = rows["Mass"]
    truth = whole.predictions.targets[20:, mass] == 1
    probabilities = whole.readings[0].probabilities[""][20:, mass]
    for place, threshold in enumerate(row["thresholds"]):
        alert = probabilities >= threshold
        expected = ((alert & truth).sum() - (alert & ~truth).sum() * threshold / (1 - threshold)) / 100
        assert row["net_benefit"][place] == pytest.approx(expected)
        everything = truth.mean() - (1 - truth.mean()) * threshold / (1 - threshold)
        assert row["treat_all"][place] == pytest.approx(everything)
        low, high = row["intervals"][place]
        assert low < expected < high
    assert (row["images"], row["positives"]) == (100, truth.sum())


def test_a_resample_without_images_of_a_known_label_does_not_count() -> None:
    """Mass is known for two patients only, so that some resamples have neither."""
    whole = part(60, images_per_patient=20)
    mass = LABELS.index("Mass")
    cases = [
        replace(
            case,
            findings=(*case.findings[:mass], float(n % 2) if n >= 20 else float("nan"), *case.findings[mass + 1 :]),
        )
        for n, case in enumerate(whole.predictions.cases)
    ]
    whole = replace(whole, predictions=replace(whole.predictions, cases=tuple(cases)))
    row = next(row for row in decision_curves(whole) if row["label"] == "Mass")
    assert row["images"] == 40
    assert np.isfinite(row["intervals"]).all()


def test_at_the_prevalence_acting_on_all_is_worth_nothing() -> None:
    """Fifty images, of which ten are positive."""
    few = part().subset("test", np.arange(50))
    findings = [tuple([float(number < 10)] * 14) for number in range(50)]
    cases = [replace(case, findings=row) for case, row in zip(few.predictions.cases, findings, strict=True)]
    few = replace(few, predictions=replace(few.predictions, cases=tuple(cases)))
    row = decision_curves(few)[0]
    assert row["treat_all"][int(np.flatnonzero(THRESHOLDS == 0.2)[0])] == pytest.approx(0)
    assert (THRESHOLDS[0], THRESHOLDS[-1], len(THRESHOLDS)) == (0.01, 0.5, 50)
