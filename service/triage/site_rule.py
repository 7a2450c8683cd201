"""The site's triage rule: what it sets, and the default for what it does not set."""

from collections.abc import Sequence

from service.artefact.card import Card
from service.errors import ConfigurationError
from service.triage.default_rule import HIGH, STAT
from service.triage.rule import Rule, check_rule

Labels = tuple[str, ...] | None


def site_rule(stat: Labels, high: Labels) -> Rule:
    """Return the rule of the settings, whatever the artefact; None is a list that is not set."""
    return Rule(STAT if stat is None else stat, HIGH if high is None else high)


def default_rule(labels: Sequence[str]) -> Rule:
    """Return the default rule as far as its labels are among these."""
    stat, high = (tuple(label for label in names if label in labels) for names in (STAT, HIGH))
    return Rule(stat, high)


def rule_for(card: Card, stat: Labels, high: Labels) -> Rule:
    """Return the rule for an artefact: of a default list, those labels that it has.

    Raises
    ------
    ConfigurationError
        A list that is set names a label that the artefact lacks or was not trained on; or no label is left, although
        the lists were not both set to be empty.
    """
    check_rule(Rule(stat or (), high or ()), card.labels)
    if untrained := [label for label in (*(stat or ()), *(high or ())) if label in card.untrained]:
        raise ConfigurationError(f"the triage rule names {untrained[0]!r}, which the artefact was not trained on")
    trained = [label for label in card.labels if label not in card.untrained]
    default = default_rule(trained)
    rule = Rule(default.stat if stat is None else stat, default.high if high is None else high)
    if not rule.labels and (stat is None or high is None):
        raise ConfigurationError(
            "no label of the artefact is in the default triage rule, so that every radiograph would be ROUTINE; set "
            f"TRIAGE_TRIAGE__STAT or TRIAGE_TRIAGE__HIGH to some of {', '.join(trained)}, or both to []"
        )
    return rule
