import pytest
from starlette.requests import Request

from service.dicom_web.accept import Range, choose, ranges
from service.errors import InvalidRequest, NotAcceptable


def asking(*accept: str, query: str = "") -> Request:
    headers = [(b"accept", one.encode()) for one in accept]
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
def test_what_the_client_likes_best_is_chosen(accept: tuple[str, ...], chosen: str) -> None:
    assert choose(asking(*accept), ("a/x", "b/y")) == chosen


@pytest.mark.parametrize("accept", ["c/z", "a/x;q=0", "c/*", "nonsense"])
def test_what_there_is_not_is_told(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        choose(asking(accept), ("a/x", "b/y"))


def test_a_weight_is_a_number() -> None:
    with pytest.raises(InvalidRequest):
        choose(asking("a/x;q=much"), ("a/x",))


def test_the_query_goes_before_the_header() -> None:
    assert choose(asking("a/x", query="accept=b/y"), ("a/x", "b/y")) == "b/y"


@pytest.mark.parametrize(
    ("said", "content", "syntax", "takes"),
    [
        ('multipart/related; type="application/dicom"', "application/dicom", "1.2.3", True),
        ("multipart/related; type=application/dicom; transfer-syntax=*", "application/dicom", "1.2.3", True),
        ('multipart/related; type="application/dicom"; transfer-syntax=1.2.4', "application/dicom", "1.2.3", False),
        ('multipart/related; type="image/*"', "image/jls", "1.2.3", True),
        ('multipart/related; type="*/*"', "image/jls", "1.2.3", True),
        ('multipart/related; type="image/jpeg"', "image/jls", "1.2.3", False),
        ("multipart/related", "image/jls", "1.2.3", True),
    ],
)
def test_parts_have_a_type_and_a_transfer_syntax(said: str, content: str, syntax: str, takes: bool) -> None:
    [one] = ranges(asking(said))

    assert one.takes("multipart/related")
    assert one.takes_parts(content, syntax) is takes


def test_what_has_no_weight_is_not_wanted() -> None:
    assert ranges(asking("a/x;q=0, b/y")) == (Range("b/y"),)
