"""The table from the HTTP door's answers to statuses of C-STORE."""

import pytest

from service.dimse.status import BY_HTTP, Status, status
from service.http.problems import TABLE


@pytest.mark.parametrize(
    ("http", "problem", "value", "comment"),
    [
        (200, {}, 0x0000, ""),
        (422, {"code": "unsuitable_image", "errors": [{"code": "view_unsuitable"}]}, 0xA900, "view_unsuitable"),
        (
            422,
            {"code": "unsuitable_image", "errors": [{"code": "view_unsuitable"}, {"code": "modality_unsuitable"}]},
            0x0122,
            "view_unsuitable, modality_unsuitable",
        ),
        (409, {"code": "conflict"}, 0xC000, "conflict"),
        (502, {}, 0xA700, "http_502"),  # of a proxy, not a problem of ours
        (302, {}, 0xA700, "http_302"),
    ],
)
def test_an_answer_is_a_status(http: int, problem: dict[str, object], value: int, comment: str) -> None:
    assert status(http, problem) == Status(value, comment)


def test_every_status_of_the_interface_is_in_the_table() -> None:
    """But for those that no file can bring about: 406 is of pictures."""
    assert {kind.status for kind in TABLE.values()} - {406} <= set(BY_HTTP)


def test_a_comment_has_room_for_64_characters() -> None:
    """PS3.5 6.2, LO."""
    errors = [{"code": "a" * 20}, {"code": "b" * 20}, {"code": "c" * 20}, {"code": "d" * 20}]

    assert status(422, {"errors": errors}).comment == f"{'a' * 20}, {'b' * 20}, {'c' * 20}"
