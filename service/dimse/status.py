"""Statuses of C-STORE responses, from the answers of the REST service."""

from dataclasses import dataclass
from http import HTTPStatus

from service.http.failure_reasons import CANNOT_UNDERSTAND, OUT_OF_RESOURCES, problem_reason

SUCCESS = 0x0000
_COMMENT = 64  # characters of (0000,0902) ErrorComment, VR LO


@dataclass(frozen=True)
class Status:
    """A C-STORE response's status and ErrorComment, which holds codes of the interface and never a value."""

    value: int
    comment: str = ""


def status(http: int, problem: dict[str, object]) -> Status:
    """Translate an answer of the REST service.

    Parameters
    ----------
    http
        The HTTP status.
    problem
        The body: problem details unless the status is 200; empty if it is not a JSON object.
    """
    if http == HTTPStatus.OK:
        return Status(SUCCESS)
    codes = _codes(problem)
    number = problem_reason(problem.get("type"), [str(problem.get("code")), *codes])
    if number is None:  # a proxy's answer: the instance is not at fault, unless it is too large for the proxy
        number = CANNOT_UNDERSTAND if http == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else OUT_OF_RESOURCES
        codes = [f"http_{http}"]
    return Status(number, _comment(codes))


def _codes(problem: dict[str, object]) -> list[str]:
    """Return the code of each reason of the gate or, without any, of the problem."""
    errors = problem.get("errors")
    details = [item for item in errors if isinstance(item, dict)] if isinstance(errors, list) else []
    reasons = [str(detail["code"]) for detail in details if "code" in detail]
    return reasons or [str(problem.get("code"))]


def _comment(codes: list[str]) -> str:
    """Join as many codes as there is room for."""
    comment = ""
    for code in codes:
        longer = f"{comment}, {code}" if comment else code
        if len(longer) > _COMMENT:
            break
        comment = longer
    return comment
