import pytest

from tests.service.records import finding, record


@pytest.mark.parametrize(
    ("reason", "positive", "expected"),
    [
        (("Effusion", "Mass"), {"Effusion": 0.3, "Mass": 0.6, "Fibrosis": 0.9}, "Mass"),  # of those in the rule
        ((), {"Fibrosis": 0.4, "Emphysema": 0.7}, "Emphysema"),
        ((), {}, None),
    ],
)
def test_the_leading_finding_is_the_one_that_made_the_priority_most(
    reason: tuple[str, ...], positive: dict[str, float], expected: str | None
) -> None:
    findings = (
        finding("Hernia", positive=None, probability=0.99),
        finding("Edema", probability=0.8),
        *(finding(label, positive=True, probability=probability) for label, probability in positive.items()),
    )
    leading = record(reason=reason, findings=findings).prediction.leading
    assert (leading and leading.label) == expected
