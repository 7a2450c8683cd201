import pytest
from starlette.requests import Request

from service.dicom_web.accept import Range, choose, ranges
from service.errors import InvalidRequest, NotAcceptable


def request(*accept: str, query: str = "") -> Request:
    headers = [(b"accept", value.encode()) for value in accept]
    return Request({"type": "http", "headers": headers, "query_string": query.encode()})


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ((), "a/x"),
        (("*/*",), "a/x"),
        (("b/*",), "b/y"),
        (("b/y;q=0.5, a/x;q=0.4",), "b/y"),
        (("a/x;q=0.5", "b/y"), "b/y"),
        (("A/X",), "a/x"),
        (('c/z; type="a/x, b/y", b/y',), "b/y"),
    ],
)
def test_the_range_with_the_highest_weight_is_chosen(accept: tuple[str, ...], chosen: str) -> None:
    assert choose(request(*accept), ("a/x", "b/y")) == chosen


@pytest.mark.parametrize("accept", ["c/z", "a/x;q=0", "c/*", "nonsense"])
def test_an_unavailable_media_type_is_not_acceptable(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        choose(request(accept), ("a/x", "b/y"))


def test_a_weight_must_be_a_number() -> None:
    with pytest.raises(InvalidRequest):
        choose(request("a/x;q=much"), ("a/x",))


def test_the_query_parameter_replaces_the_header() -> None:
    assert choose(request("a/x", query="accept=b/y"), ("a/x", "b/y")) == "b/y"


def test_a_range_of_weight_0_is_dropped() -> None:
    assert ranges(request("a/x;q=0, b/y")) == (Range("b/y"),)
