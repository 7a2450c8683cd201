import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.dicom_web.multipart import Part, boundary_of, parts
from service.errors import InvalidRequest, TooLarge

BOUNDARY = b"b-0.9'x"
DELIMITER = b"\r\n--" + BOUNDARY
LIMIT = 2**17

# What looks like the end of a part and is none, beside any bytes
PIECES = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b"-", b"--", b"\r\n--", b"\r\n-", DELIMITER[:-1], BOUNDARY, BOUNDARY + b"--", b"\r\n\r\n"]
)
CONTENTS = st.lists(PIECES | st.binary(max_size=20), max_size=12).map(b"".join).filter(lambda one: DELIMITER not in one)


def body(contents: list[bytes], preamble: bytes = b"", epilogue: bytes = b"") -> bytes:
    opened = (b"--" + BOUNDARY + b"\r\nContent-Type: application/dicom\r\n\r\n" + one + b"\r\n" for one in contents)
    return preamble + b"".join(opened) + b"--" + BOUNDARY + b"--" + epilogue


def read(whole: bytes, cuts: list[int], limit: int = LIMIT) -> list[Part]:
    edges = [0, *sorted(cut % (len(whole) + 1) for cut in cuts), len(whole)]

    async def chunks() -> AsyncIterator[bytes]:
        for start, end in itertools.pairwise(edges):
            yield whole[start:end]

    async def all_of_them() -> list[Part]:
        return [part async for part in parts(chunks(), BOUNDARY, limit)]

    return asyncio.run(all_of_them())


@settings(max_examples=300, deadline=None)
@given(
    contents=st.lists(CONTENTS, min_size=1, max_size=4),
    preamble=st.sampled_from([b"", b"\r\n", b"for people\r\n", b"--b-0.9\r\n--\r\n"]),
    epilogue=st.sampled_from([b"", b"\r\n", b"\r\nfor people\r\n"]),
    cuts=st.lists(st.integers(0, 2**16), max_size=40),
)
def test_any_bytes_come_out_as_they_went_in(
    contents: list[bytes], preamble: bytes, epilogue: bytes, cuts: list[int]
) -> None:
    found = read(body(contents, preamble, epilogue), cuts)

    assert found == [Part("application/dicom", content) for content in contents]


@pytest.mark.parametrize("end", [b"\r\n", b"\r\n\r\n", b"\r", b"\n", b"\r\n--", b"\0"])
def test_a_part_that_ends_in_a_line_break_keeps_it(end: bytes) -> None:
    for size in (1, 2, 3, 5, 64):
        whole = body([b"DICM" + end, b"DICM" + end])
        found = read(whole, list(range(0, len(whole), size)))
        assert [part.content for part in found] == [b"DICM" + end] * 2


def test_one_part_is_given_out_before_more_is_read() -> None:
    whole, seen = body([b"1" * 70_000, b"2" * 70_000, b"3"]), 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal seen
        for start in range(0, len(whole), 1000):
            seen = start + 1000
            yield whole[start : start + 1000]

    async def first() -> Part:
        async for part in parts(chunks(), BOUNDARY, LIMIT):
            return part
        raise AssertionError

    assert asyncio.run(first()).content == b"1" * 70_000
    assert seen <= 72_000


def test_of_a_part_that_is_too_large_nothing_is_kept_and_the_next_is_read() -> None:
    large, small = (part.content for part in read(body([b"x" * 200, b"y"]), [], limit=100))

    assert isinstance(large, TooLarge)
    assert large.code == "file_too_large"
    assert small == b"y"


def test_a_part_without_a_media_type_says_none() -> None:
    whole = (
        b"--" + BOUNDARY + b"\r\n\r\nx" + DELIMITER + b"\r\nCONTENT-TYPE: Application/DICOM; a=b\r\n\r\ny" + DELIMITER
    )

    assert read(whole + b"--", []) == [Part("", b"x"), Part("application/dicom", b"y")]


@pytest.mark.parametrize(
    ("whole", "code"),
    [
        (b"", "multipart_truncated"),
        (b"x" * 200_000, "multipart_invalid"),
        (body([b"x"])[:-2], "multipart_truncated"),
        (body([b"x"])[:30], "multipart_truncated"),
        (b"--" + BOUNDARY + b"\r\nno colon\r\n\r\n", "multipart_invalid"),
        (b"--" + BOUNDARY + b"\r\nA: " + b"x" * 10_000, "multipart_invalid"),
    ],
)
def test_bad_syntax_is_told(whole: bytes, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(whole, [])

    assert caught.value.code == code


def test_a_boundary_that_is_too_long_is_bad_syntax() -> None:
    async def nothing() -> AsyncIterator[bytes]:
        yield b"x"

    async def first() -> None:
        async for _ in parts(nothing(), b"b" * 10_000, LIMIT):
            raise AssertionError

    with pytest.raises(InvalidRequest):
        asyncio.run(first())


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (
            'multipart/related; type="application/dicom"; boundary=abc',
            ("multipart/related", "application/dicom", b"abc"),
        ),
        ('Multipart/Related;boundary="a b";type=Application/Dicom', ("multipart/related", "application/dicom", b"a b")),
        ("application/dicom", ("application/dicom", "", b"")),
        ("", ("", "", b"")),
    ],
)
def test_a_content_type_is_read_quoted_and_not(header: str, told: tuple[str, str, bytes]) -> None:
    assert boundary_of(header) == told
