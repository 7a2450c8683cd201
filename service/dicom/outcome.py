"""What a rule of the gate answers."""

from service.dicom.elements import name
from service.errors import Reason

Outcome = Reason | str | None  # a refusal, a flag, or neither


def refusal(code: str, keyword: str, rule: str) -> Reason:
    """Refuse an image for one attribute."""
    return Reason(code, f"{name(keyword)} {rule}")
