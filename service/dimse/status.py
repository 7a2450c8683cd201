"""What the HTTP door's answer is over C-STORE: the one table."""

from dataclasses import dataclass
from http import HTTPStatus

SUCCESS = 0x0000
# PS3.4 table B.2-1
OUT_OF_RESOURCES = 0xA700  # the sender keeps the instance and tries again
MISMATCH = 0xA900  # data set does not match SOP class: not what this service reads
CANNOT_UNDERSTAND = 0xC000
SYNTAX_NOT_SUPPORTED = 0xC122
# PS3.7 annex C
SOP_CLASS_NOT_SUPPORTED = 0x0122
PROCESSING_FAILURE = 0x0110
_COMMENT = 64  # characters of (0000,0902) ErrorComment, VR LO


@dataclass(frozen=True)
class Status:
    """A C-STORE response's status and ErrorComment: codes of the interface, never a value."""

    value: int
    comment: str = ""


# By the code, or a reason of the gate, where it says more than the HTTP status. As STOW-RS numbers them, but for two:
# a conflict is no 0111 (duplicate), which some senders take as done, though what is kept is another image; a file over
# the limits is no A700, as it would be sent for ever.
BY_CODE = {
    "modality_unsuitable": SOP_CLASS_NOT_SUPPORTED,
    "pixel_data_missing": SOP_CLASS_NOT_SUPPORTED,
    "decode_timeout": PROCESSING_FAILURE,
}
BY_HTTP = {
    200: SUCCESS,
    400: CANNOT_UNDERSTAND,
    # Nothing is wrong with the instance, but with this process: its key, its address, a proxy between.
    401: OUT_OF_RESOURCES,
    403: OUT_OF_RESOURCES,
    404: OUT_OF_RESOURCES,
    408: OUT_OF_RESOURCES,
    409: CANNOT_UNDERSTAND,
    413: CANNOT_UNDERSTAND,
    415: SYNTAX_NOT_SUPPORTED,
    422: MISMATCH,
    429: OUT_OF_RESOURCES,
    500: PROCESSING_FAILURE,
    502: OUT_OF_RESOURCES,
    503: OUT_OF_RESOURCES,
    504: OUT_OF_RESOURCES,
    507: OUT_OF_RESOURCES,
}


def status(http: int, problem: dict[str, object]) -> Status:
    """Translate an answer; `problem` is the body of one that is not 200."""
    if http == HTTPStatus.OK:
        return Status(SUCCESS)
    errors = problem.get("errors")
    reasons = [str(one["code"]) for one in errors] if isinstance(errors, list) else []
    codes = reasons or [str(problem.get("code", f"http_{http}"))]
    named = (BY_CODE[code] for code in codes if code in BY_CODE)
    return Status(next(named, BY_HTTP.get(http, OUT_OF_RESOURCES)), _comment(codes))


def _comment(codes: list[str]) -> str:
    """Join as many as there is room for."""
    comment = ""
    for code in codes:
        longer = f"{comment}, {code}" if comment else code
        if len(longer) > _COMMENT:
            break
        comment = longer
    return comment
