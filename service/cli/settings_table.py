"""The table of settings in `triage check` and in docs/deploy.md."""

import json
from dataclasses import dataclass

from service.settings import Settings, variable_name


@dataclass(frozen=True)
class Variable:
    """One setting: its environment variable, its value and default as text (a secret is asterisks), its description."""

    name: str
    value: str
    default: str
    description: str


def variables(settings: Settings | None = None) -> list[Variable]:
    """Return all settings, in the order of their groups; without `settings`, every value is the default."""
    return [
        Variable(
            variable_name(group, field),
            _text(getattr(getattr(settings, group), field) if settings else info.default),
            _text(info.default),
            info.description or "",
        )
        for group, section in Settings.model_fields.items()
        for field, info in type(section.default).model_fields.items()
    ]


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return json.dumps(value, default=lambda group: group.model_dump(mode="json", exclude_defaults=True))
    return "" if value is None else str(value)
