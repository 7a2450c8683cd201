"""The targets of the coverage-guided search, on its corpus and on inputs of the generators.

`tests/hostile/guided.py` searches; it needs the extra `fuzz`, and these tests do not.
"""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hostile import targets
from tests.hostile.generators import good
from tests.hostile.strategies import files, peers, store_bodies
from tests.hostile.targets import TARGETS
from tests.service.dimse import peer

CORPUS = Path(__file__).with_name("corpus")


@pytest.mark.parametrize("target", TARGETS)
def test_every_input_of_the_corpus_is_survived(target: str) -> None:
    inputs = sorted((CORPUS / target).iterdir())

    assert len(inputs) > 50
    for path in inputs:
        TARGETS[target](path.read_bytes())


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < 3_000_000


@settings(max_examples=80, deadline=None)
@given(files() | st.binary(max_size=300))
def test_the_reader_refuses_or_gives_an_image(data: bytes) -> None:
    targets.reader(data)


@settings(max_examples=80, deadline=None)
@given(store_bodies(), st.binary(max_size=300))
def test_the_parser_of_stow_gives_parts_that_lie_in_the_body(body: tuple[bytes, bytes], more: bytes) -> None:
    targets.store(body[0].replace(b"\n", b"") + b"\n" + body[1])
    targets.store(b"multipart/related; boundary=b\n--b\r\n" + more)


@settings(max_examples=80, deadline=None)
@given(peers(), st.binary(max_size=300))
def test_the_acceptor_answers_with_little_and_comes_to_an_end(data: bytes, more: bytes) -> None:
    targets.pdus(data)
    targets.pdus(peer.request() + more)


def test_the_targets_reach_what_they_are_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image is decoded, a part is found, and a data set is stored."""
    stored: list[bytes] = []
    decoded: list[bytes] = []
    found: list[bytes] = []
    read, content = targets.radiograph, targets._content
    monkeypatch.setattr(targets._Forward, "store", lambda _, data, *__: stored.append(data) or targets.Status(0))
    monkeypatch.setattr(targets, "radiograph", lambda data, *rest: decoded.append(data) or read(data, *rest))
    monkeypatch.setattr(targets, "_content", lambda part: found.extend(content(part)) or [])

    targets.reader(good("good"))
    targets.store(b"multipart/related; boundary=b\n--b\r\n\r\nfile\r\n--b--")
    targets.pdus(peer.request() + peer.echo() + peer.store(b"data") + peer.pdu(5, bytes(4)))

    assert decoded == [good("good")]
    assert found == [b"file"]
    assert [data[-4:] for data in stored] == [b"data"]
