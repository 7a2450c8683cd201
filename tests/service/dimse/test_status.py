"""ErrorComment, and answers of other servers; `http/test_failure_reasons.py` tests the number of each error."""

import pytest

from service.dimse.status import Status, status
from service.errors import Conflict, Reason, UnsuitableImage
from service.http.problems import problem


def answer(error: Exception) -> dict[str, object]:
    return problem(error).model_dump(exclude_none=True)


@pytest.mark.parametrize(
    ("http", "body", "value", "comment"),
    [
        (200, {}, 0x0000, ""),
        (409, answer(Conflict("x")), 0xC000, "conflict"),
        (422, answer(UnsuitableImage((Reason("view_unsuitable", "x"),))), 0xA900, "view_unsuitable"),
        (
            422,
            answer(UnsuitableImage((Reason("view_unsuitable", "x"), Reason("modality_unsuitable", "x")))),
            0x0122,
            "view_unsuitable, modality_unsuitable",
        ),
    ],
)
def test_an_answer_becomes_a_status_with_its_codes_as_comment(
    http: int, body: dict[str, object], value: int, comment: str
) -> None:
    assert status(http, body) == Status(value, comment)


@pytest.mark.parametrize("http", [302, 400, 401, 403, 404, 405, 408, 409, 415, 422, 429, 500, 502, 503, 504, 507])
@pytest.mark.parametrize("body", [{}, {"code": "conflict"}, {"type": "about:blank", "errors": [1, "a", {}]}])
def test_another_servers_refusal_is_a700(http: int, body: dict[str, object]) -> None:
    assert status(http, body) == Status(0xA700, f"http_{http}")


def test_a_file_too_large_for_a_proxy_is_c000_as_it_would_be_sent_for_ever() -> None:
    assert status(413, {}) == Status(0xC000, "http_413")


def test_a_comment_has_room_for_64_characters() -> None:
    """PS3.5 6.2, LO."""
    reasons = tuple(Reason(letter * 20, "x") for letter in "abcd")

    assert status(422, answer(UnsuitableImage(reasons))).comment == f"{'a' * 20}, {'b' * 20}, {'c' * 20}"
