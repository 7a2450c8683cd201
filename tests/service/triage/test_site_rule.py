from types import SimpleNamespace
from typing import Any

import pytest

from service.errors import ConfigurationError
from service.triage.default_rule import HIGH, STAT
from service.triage.rule import Rule
from service.triage.site_rule import default_rule, rule_for, site_rule


def card(*labels: str, untrained: tuple[str, ...] = ()) -> Any:
    return SimpleNamespace(labels=labels, untrained=untrained)


def test_a_list_that_is_not_set_is_the_default() -> None:
    assert site_rule(None, None) == Rule(STAT, HIGH)
    assert site_rule((), None) == Rule((), HIGH)
    assert site_rule(None, ("Hernia",)) == Rule(STAT, ("Hernia",))


def test_of_a_default_list_those_labels_count_that_the_artefact_was_trained_on() -> None:
    five = card("Effusion", "Fracture", "Mass", "Pneumothorax", "Nodule", untrained=("Nodule",))
    assert rule_for(five, None, None) == Rule(("Pneumothorax",), ("Effusion", "Mass"))
    assert rule_for(five, ("Fracture",), None) == Rule(("Fracture",), ("Effusion", "Mass"))
    assert rule_for(card(*HIGH), None, None) == Rule((), HIGH)


def test_a_label_that_is_set_must_be_one_that_the_artefact_was_trained_on() -> None:
    five = card("Effusion", "Mass", untrained=("Mass",))
    with pytest.raises(ConfigurationError, match="names 'Pneumothorax'; the artefact's labels are Effusion, Mass"):
        rule_for(five, ("Pneumothorax",), None)
    with pytest.raises(ConfigurationError, match="names 'Mass', which the artefact was not trained on"):
        rule_for(five, None, ("Mass",))


def test_an_artefact_of_other_labels_needs_a_rule() -> None:
    other = card("Tuberculosis", "Silicosis", "Fracture", untrained=("Fracture",))
    with pytest.raises(ConfigurationError, match="to some of Tuberculosis, Silicosis, or both to") as caught:
        rule_for(other, None, None)
    assert "TRIAGE_TRIAGE__STAT" in caught.value.message
    assert rule_for(other, None, ("Tuberculosis",)) == Rule((), ("Tuberculosis",))
    assert rule_for(other, (), ()) == Rule((), ())  # the site has switched priorities off
    with pytest.raises(ConfigurationError):
        rule_for(other, (), None)


def test_the_default_rule_has_only_labels_that_exist() -> None:
    assert default_rule((*HIGH, *STAT)) == Rule(STAT, HIGH)
    assert default_rule(("Fracture", "Edema")) == Rule((), ("Edema",))
