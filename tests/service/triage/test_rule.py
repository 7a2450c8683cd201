import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import logit

from service.errors import ConfigurationError, InferenceFailed
from service.triage.finding import Finding
from service.triage.rule import Priority, Probabilities, Rule, check_rule, triage
from tests.service.records import operating_point

LABELS = ("Cardiomegaly", "Effusion", "Mass", "Pneumothorax")
POINTS = tuple(operating_point(threshold) for threshold in (0.5, 0.25, 0.1, 0.05))
RULE = Rule(stat=("Pneumothorax",), high=("Mass", "Effusion"))


def outputs(*fusion: float) -> Probabilities:
    values = np.array(fusion, np.float32)
    return Probabilities(values, values / 2, values / 4)


@pytest.mark.parametrize(
    ("fusion", "priority", "reason"),
    [
        # Cardiomegaly .5, Effusion .25, Mass .1, Pneumothorax .05
        ((0.00, 0.00, 0.00, 0.00), "ROUTINE", ()),
        ((0.99, 0.00, 0.00, 0.00), "ROUTINE", ()),
        ((0.00, 0.25, 0.00, 0.00), "HIGH", ("Effusion",)),  # at the threshold is positive
        ((0.00, 0.24, 0.00, 0.00), "ROUTINE", ()),
        ((0.00, 0.00, 0.11, 0.00), "HIGH", ("Mass",)),
        ((0.99, 0.30, 0.20, 0.04), "HIGH", ("Effusion", "Mass")),  # in label order, not the rule's
        ((0.00, 0.00, 0.00, 0.06), "STAT", ("Pneumothorax",)),
        ((1.00, 1.00, 1.00, 1.00), "STAT", ("Pneumothorax",)),
    ],
)
def test_priority_and_reason_follow_the_rule(
    fusion: tuple[float, ...], priority: Priority, reason: tuple[str, ...]
) -> None:
    result = triage(LABELS, POINTS, outputs(*fusion), RULE)
    assert (result.priority, result.reason) == (priority, reason)


def test_a_finding_has_probabilities_and_operating_point() -> None:
    finding = triage(LABELS, POINTS, outputs(0.0, 0.5, 0.0, 0.0), RULE).findings[1]
    assert (finding.label, finding.probability, finding.global_, finding.local) == ("Effusion", 0.5, 0.25, 0.125)
    assert (finding.threshold, finding.positive) == (0.25, True)
    assert (finding.sensitivity, finding.specificity) == (0.7, 0.95)


def test_without_an_operating_point_a_finding_takes_no_part() -> None:
    result = triage(LABELS, (*POINTS[:3], None), outputs(0.0, 0.0, 0.0, 1.0), RULE)
    assert (result.priority, result.reason) == ("ROUTINE", ())
    finding = result.findings[3]
    assert finding.probability == 1
    assert [finding.threshold, finding.positive, finding.sensitivity, finding.specificity] == [None] * 4
    assert result.margin is not None
    assert result.margin < 0


def test_without_any_operating_point_there_is_no_margin() -> None:
    assert triage(LABELS, [None] * 4, outputs(1, 1, 1, 1), RULE).margin is None


def test_the_margin_is_the_largest_of_the_findings_that_the_rule_names() -> None:
    """Cardiomegaly, which is outside the rule, does not count, however far it is above its threshold."""
    result = triage(LABELS, POINTS, outputs(0.9, 0.1, 0.5, 0.06), RULE)
    assert result.margin == pytest.approx(math.log(9), rel=1e-6)  # Mass: logit .5 - logit .1


def test_there_is_no_margin_where_only_findings_outside_the_rule_have_an_operating_point() -> None:
    result = triage(LABELS, (POINTS[0], None, None, None), outputs(0.9, 1, 1, 1), RULE)
    assert (result.priority, result.margin) == ("ROUTINE", None)


def test_with_the_margin_as_the_second_key_the_more_urgent_of_two_comes_first() -> None:
    """The fault: a large heart outside the rule stood before an effusion above its threshold."""
    heart = triage(LABELS, POINTS, outputs(0.999, 0.251, 0.0, 0.0), RULE)
    effusion = triage(LABELS, POINTS, outputs(0.0, 0.6, 0.0, 0.0), RULE)
    assert heart.priority == effusion.priority == "HIGH"
    assert heart.margin is not None
    assert effusion.margin is not None
    assert effusion.margin > heart.margin


def test_an_untrained_label_has_no_numbers_and_takes_no_part() -> None:
    result = triage(LABELS, POINTS, outputs(0.0, 0.0, 0.0, 1.0), RULE, untrained=("Pneumothorax",))
    assert (result.priority, result.reason) == ("ROUTINE", ())
    assert result.findings[3] == Finding("Pneumothorax", None, None, None, None, None, None, None)
    assert result.margin == triage(LABELS[:3], POINTS[:3], outputs(0.0, 0.0, 0.0), RULE).margin


def test_without_a_second_look_there_is_no_local_probability() -> None:
    both = outputs(0.1, 0.2, 0.3, 0.4)
    findings = triage(LABELS, POINTS, Probabilities(both.fusion, both.global_, None), RULE).findings
    assert [finding.local for finding in findings] == [None] * 4
    assert [finding.global_ for finding in findings] == pytest.approx([0.05, 0.1, 0.15, 0.2])


def test_a_saturated_output_has_a_finite_margin() -> None:
    high, low = (triage(LABELS, POINTS, outputs(*[value] * 4), RULE).margin for value in (1.0, 0.0))
    assert high is not None
    assert low is not None
    assert math.isfinite(high)
    assert math.isfinite(low)
    assert low < 0 < high


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, -0.01, 1.01])
@pytest.mark.parametrize("branch", range(3))
def test_a_value_outside_0_to_1_is_refused(wrong: float, branch: int) -> None:
    outputs = [np.full(4, 0.5, np.float32) for _ in range(3)]
    outputs[branch][2] = wrong
    with pytest.raises(InferenceFailed):
        triage(LABELS, POINTS, Probabilities(*outputs), RULE)


@pytest.mark.parametrize("shape", [(3,), (5,), (1, 4), ()])
def test_another_number_of_outputs_is_refused(shape: tuple[int, ...]) -> None:
    wrong = np.full(shape, 0.5, np.float32)
    with pytest.raises(InferenceFailed):
        triage(LABELS, POINTS, Probabilities(wrong, wrong, wrong), RULE)


def test_a_rule_with_an_unknown_label_is_refused() -> None:
    check_rule(RULE, LABELS)
    with pytest.raises(ConfigurationError, match="Pneumotorax"):
        check_rule(Rule(("Pneumotorax",), ()), LABELS)
    with pytest.raises(ConfigurationError, match="mass"):
        check_rule(Rule((), ("mass",)), LABELS)


probabilities = arrays(np.float32, 4, elements=st.floats(0, 1, width=32))


@given(probabilities, st.lists(st.none() | st.floats(0.01, 0.99), min_size=4, max_size=4))
def test_the_result_agrees_with_the_definition(fusion: npt.NDArray[np.float32], thresholds: list[float | None]) -> None:
    points = [None if threshold is None else operating_point(threshold) for threshold in thresholds]
    result = triage(LABELS, points, Probabilities(fusion, fusion, fusion), RULE)
    positive = {
        label
        for label, value, threshold in zip(LABELS, fusion, thresholds, strict=True)
        if threshold is not None and float(value) >= threshold
    }
    assert {finding.label for finding in result.findings if finding.positive} == positive
    expected = "STAT" if positive & {"Pneumothorax"} else "HIGH" if positive & {"Mass", "Effusion"} else "ROUTINE"
    assert result.priority == expected
    assert set(result.reason) <= positive
    pairs = [
        (value, threshold)
        for label, value, threshold in zip(LABELS, fusion, thresholds, strict=True)
        if threshold is not None and label in RULE.labels
    ]
    if not pairs:
        assert result.margin is None
        return
    clipped = np.clip(np.array([value for value, _ in pairs], np.float64), 1e-7, 1 - 1e-7)
    assert result.margin == pytest.approx(max(logit(clipped) - logit([threshold for _, threshold in pairs])))
    assert (result.margin >= 0) == (expected != "ROUTINE") or min(abs(v - t) for v, t in pairs) < 1e-9


@given(probabilities, st.integers(0, 3), st.floats(0, 1, width=32))
def test_a_higher_probability_never_lowers_the_priority(
    fusion: npt.NDArray[np.float32], index: int, value: float
) -> None:
    assume(value >= fusion[index])
    higher = fusion.copy()
    higher[index] = value
    before, after = (triage(LABELS, POINTS, Probabilities(v, v, v), RULE) for v in (fusion, higher))
    order = ("ROUTINE", "HIGH", "STAT")
    assert order.index(after.priority) >= order.index(before.priority)
    assert before.margin is not None
    assert after.margin is not None
    assert after.margin >= before.margin
