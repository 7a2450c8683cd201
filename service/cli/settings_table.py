"""Every setting as `triage check` and the documentation list it."""

import json
from dataclasses import dataclass

from service.settings import Settings, variable_name


@dataclass(frozen=True)
class Variable:
    """One setting: its environment variable, and value and default as text; a secret's value is stars."""

    name: str
    value: str
    default: str
    description: str


def variables(settings: Settings | None = None) -> list[Variable]:
    """List every setting, in the order of the groups; without `settings` each value is the default."""
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
