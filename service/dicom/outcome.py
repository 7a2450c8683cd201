"""What a rule of the gate answers."""

from service.dicom.elements import name
from service.errors import Reason

Outcome = Reason | str | None  # a refusal, a flag, or neither


def refusal(code: str, keyword: str, actual: str, expected: str) -> Reason:
    """Refuse an image for one attribute: say what it is, as `stated` does, and what is expected instead."""
    return Reason(code, f"{name(keyword)} {actual}; {expected} is expected")


def stated(value: str, quotable: str) -> str:
    """Say what an attribute is; `quotable` is empty where the value is not on a list, so that it may name a patient."""
    if quotable:
        return f"is {quotable}"
    return "is something else" if value else "is missing"
