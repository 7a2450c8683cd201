import asyncio
import itertools
import tempfile
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.dicom_web.multipart import Part, parse_content_type, parts
from service.errors import InvalidRequest, StorageFull, TooLarge, TriageError
from service.storage.incoming import Incoming

BOUNDARY = b"b-0.9'x"
DELIMITER = b"\r\n--" + BOUNDARY
LIMIT = 2**17
Read = tuple[str, bytes | TriageError]

# Bytes that resemble the end of a part
PIECES = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b"-", b"--", b"\r\n--", b"\r\n-", DELIMITER[:-1], BOUNDARY, BOUNDARY + b"--", b"\r\n\r\n"]
)
CONTENTS = (
    st.lists(PIECES | st.binary(max_size=20), max_size=12)
    .map(b"".join)
    .filter(lambda content: DELIMITER not in content)
)


def body(contents: list[bytes], preamble: bytes = b"", epilogue: bytes = b"") -> bytes:
    opened = (
        b"--" + BOUNDARY + b"\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n" for content in contents
    )
    return preamble + b"".join(opened) + b"--" + BOUNDARY + b"--" + epilogue


def read(whole: bytes, cuts: list[int], limit: int = LIMIT) -> list[Read]:
    edges = [0, *sorted(cut % (len(whole) + 1) for cut in cuts), len(whole)]

    async def chunks() -> AsyncIterator[bytes]:
        for start, end in itertools.pairwise(edges):
            yield whole[start:end]

    async def collect(folder: Path) -> list[Read]:
        numbers = itertools.count()
        body = parts(chunks(), BOUNDARY, limit, lambda: Incoming(folder / f"{next(numbers)}"))
        answer = [(part.media_type, content_of(part)) async for part in body]
        assert not any(folder.iterdir())
        return answer

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(collect(Path(folder)))


def content_of(part: Part) -> bytes | TriageError:
    return part.content.partial.read_bytes() if isinstance(part.content, Incoming) else part.content


@settings(max_examples=300, deadline=None)
@given(
    contents=st.lists(CONTENTS, min_size=1, max_size=4),
    preamble=st.sampled_from([b"", b"\r\n", b"for people\r\n", b"--b-0.9\r\n--\r\n"]),
    epilogue=st.sampled_from([b"", b"\r\n", b"\r\nfor people\r\n"]),
    cuts=st.lists(st.integers(0, 2**16), max_size=40),
)
def test_any_content_is_returned_byte_for_byte(
    contents: list[bytes], preamble: bytes, epilogue: bytes, cuts: list[int]
) -> None:
    parsed = read(body(contents, preamble, epilogue), cuts)

    assert parsed == [("application/dicom", content) for content in contents]


@pytest.mark.parametrize("end", [b"\r\n", b"\r\n\r\n", b"\r", b"\n", b"\r\n--", b"\0"])
def test_a_part_that_ends_in_a_line_break_keeps_it(end: bytes) -> None:
    for size in (1, 2, 3, 5, 64):
        whole = body([b"DICM" + end, b"DICM" + end])
        parsed = read(whole, list(range(0, len(whole), size)))
        assert [content for _, content in parsed] == [b"DICM" + end] * 2


def test_a_part_is_returned_before_more_is_read(tmp_path: Path) -> None:
    whole, consumed = body([b"1" * 70_000, b"2" * 70_000, b"3"]), 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal consumed
        for start in range(0, len(whole), 1000):
            consumed = start + 1000
            yield whole[start : start + 1000]

    async def first() -> bytes | TriageError:
        async with aclosing(parts(chunks(), BOUNDARY, LIMIT, lambda: Incoming(tmp_path / "1"))) as body:
            async for part in body:
                return content_of(part)
        raise AssertionError

    assert asyncio.run(first()) == b"1" * 70_000
    assert not any(tmp_path.iterdir())
    assert consumed <= 72_000


def test_a_part_over_the_limit_is_discarded_and_the_next_is_read() -> None:
    large, small = (content for _, content in read(body([b"x" * 200, b"y"]), [], limit=100))

    assert isinstance(large, TooLarge)
    assert large.code == "file_too_large"
    assert small == b"y"


def test_a_part_may_have_no_media_type() -> None:
    whole = (
        b"--" + BOUNDARY + b"\r\n\r\nx" + DELIMITER + b"\r\nCONTENT-TYPE: Application/DICOM; a=b\r\n\r\ny" + DELIMITER
    )

    assert read(whole + b"--", []) == [("", b"x"), ("application/dicom", b"y")]


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
def test_invalid_syntax_is_refused(whole: bytes, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(whole, [])

    assert caught.value.code == code


def test_a_boundary_that_is_too_long_is_refused() -> None:
    async def nothing() -> AsyncIterator[bytes]:
        yield b"x"

    async def first() -> None:
        async for _ in parts(nothing(), b"b" * 10_000, LIMIT, lambda: pytest.fail("a part began")):
            raise AssertionError

    with pytest.raises(InvalidRequest):
        asyncio.run(first())


@pytest.mark.parametrize(
    ("header", "expected"),
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
def test_the_parameters_of_a_content_type_may_be_quoted(header: str, expected: tuple[str, str, bytes]) -> None:
    assert parse_content_type(header) == expected


def test_a_part_that_cannot_be_written_is_reported_and_the_next_is_read(tmp_path: Path) -> None:
    starts = iter([StorageFull("no room"), Incoming(tmp_path / "2")])

    def start() -> Incoming:
        match next(starts):
            case StorageFull() as error:
                raise error
            case file:
                return file

    async def chunks() -> AsyncIterator[bytes]:
        yield body([b"one", b"two"])

    async def collect() -> list[bytes | TriageError]:
        return [content_of(part) async for part in parts(chunks(), BOUNDARY, LIMIT, start)]

    refused, written = asyncio.run(collect())
    assert isinstance(refused, StorageFull)
    assert written == b"two"


def test_a_part_is_closed_though_the_request_is_cancelled_while_every_thread_is_busy(tmp_path: Path) -> None:
    may_go_on = threading.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield body([b"one"])

    async def work() -> None:
        async with aclosing(parts(chunks(), BOUNDARY, LIMIT, lambda: Incoming(tmp_path / "1"))) as arriving:
            async for _ in arriving:
                asyncio.get_running_loop().run_in_executor(None, may_go_on.wait, 20)

    async def cancelled() -> None:
        with ThreadPoolExecutor(1) as pool:
            asyncio.get_running_loop().set_default_executor(pool)
            request = asyncio.create_task(work())
            await asyncio.sleep(0.2)  # the part is being closed
            assert list(tmp_path.iterdir())
            request.cancel()
            await asyncio.sleep(0.05)
            may_go_on.set()
            await asyncio.wait([request])
            assert request.cancelled()

    asyncio.run(cancelled())
    assert not list(tmp_path.iterdir())
