"""Decoder processes that panic, or are not themselves any more: whatever they do is an error of the file."""

import asyncio
import json
import os
import pickle
import struct
import sys
import time
from collections.abc import Callable, Iterator
from io import StringIO
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from pathlib import Path

import numpy as np
import pytest
from rle.rle import decode_frame

from service.errors import MalformedDicom
from service.prediction import worker
from service.prediction.decoders import Decoders
from service.prediction.transfer import Package, pack
from tests.factories import dicom_bytes, ramp
from tests.service.prediction.pools import pool

DATA = dicom_bytes(ramp(260, 300))


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    with pool(seconds=10) as decoders:
        yield decoders


def panic(*_: object) -> bytes:
    """Panic in Rust: as `service.dicom.codecs` found, one decoder writes beyond a row that it has not checked."""
    longer = b"\xaa\xbb\xcc\xdd"
    header = struct.pack("<16L", 2, 64, 68, *[0] * 13)
    return bytes(decode_frame(header + b"\x02\x01\x02\x03" + bytes([len(longer) - 1]) + longer, 3, 16, "<"))


class Beyond(BaseException):
    """No Exception, as the panics of Rust are."""


def beyond(*_: object) -> None:
    raise Beyond


def leave(*_: object) -> None:
    sys.exit(0)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def generator(*_: object) -> object:
    """Return what cannot be pickled."""
    return (number for number in range(3))


def stop_iteration(*_: object) -> None:
    raise StopIteration


def path(*_: object) -> Path:
    """Return what may not be unpickled."""
    return Path("/etc/passwd")


def structured(*_: object) -> np.ndarray:
    return np.zeros(10**5, [("a", "u1"), ("b", "f8")])


def garbage(*_: object) -> None:
    """Answer for itself, with bytes that are no answer."""
    os.write(the_pipe(), struct.pack("!i", 100) + b"garbage" * 30)
    time.sleep(60)


def negative(*_: object) -> None:
    os.write(the_pipe(), struct.pack("!i", -7) * 30)
    time.sleep(60)


def endless(*_: object) -> None:
    """Announce a message of four exbibytes, and send what fits in half a second."""
    os.write(the_pipe(), struct.pack("!iQ", -1, 2**62))
    while True:
        os.write(the_pipe(), bytes(2**16))


def call(*_: object) -> None:
    """Answer with a pickle that calls a function where it is unpickled."""
    worker.pack = lambda _: Package(pickle.dumps((True, Act())), ())  # type: ignore[assignment]


class Act:
    """Creates the file that the environment names."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return exec, ("import os; open(os.environ['AGCNN_TEST_MADE'], 'w')",)


def borrowed(*_: object) -> None:
    """Send a descriptor that is no memory in the place of one that is."""
    pipe = Connection(the_pipe())
    content = pack((True, None)).content
    pipe.send_bytes(struct.pack("<QQQ", len(content), 0, 2**20))
    pipe.send_bytes(content)
    send_handle(pipe, 1, None)
    time.sleep(60)


def the_pipe() -> int:
    for descriptor in range(3, 100):
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        return descriptor
    raise AssertionError


def test_the_decoder_panics() -> None:
    with pytest.raises(BaseException, match="index") as caught:
        panic()
    assert not isinstance(caught.value, Exception)


@pytest.mark.parametrize(
    "act",
    [
        *(panic, beyond, leave, interrupt, generator, path, structured),
        *(garbage, negative, endless, call, borrowed),
    ],
)
def test_whatever_a_process_does_is_an_error_of_the_file(
    decoders: Decoders, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, act: Callable[..., object]
) -> None:
    monkeypatch.setenv("AGCNN_TEST_MADE", str(tmp_path / "made"))
    start = time.monotonic()

    with pytest.raises(MalformedDicom) as refusal:
        asyncio.run(decoders.examine(DATA, act))

    assert refusal.value.code == "decoder_failed"
    assert time.monotonic() - start < 60
    assert not (tmp_path / "made").exists()
    assert asyncio.run(decoders.prepare(DATA, 64, "stretch")).canvas.shape == (1, 64, 64)


def test_a_stop_iteration_which_no_future_can_raise_is_an_error_of_the_file(decoders: Decoders) -> None:
    with pytest.raises(MalformedDicom) as refusal:
        asyncio.run(decoders.examine(DATA, stop_iteration))
    assert refusal.value.code == "value_invalid"
    with pytest.raises(MalformedDicom) as refusal:
        asyncio.run(decoders._run(next, (iter(()),)))
    assert refusal.value.code == "decoder_failed"


def test_a_replaced_process_has_its_reason_in_the_log(decoders: Decoders, log: StringIO) -> None:
    for act in (leave, garbage):
        with pytest.raises(MalformedDicom):
            asyncio.run(decoders.examine(DATA, act))
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert {(line["event"], line["reason"]) for line in lines} == {("decoder process replaced", "crashed")}
    assert [line["detail"] for line in lines] == ["it crashed"] * 2 + [
        "it answered with something else than a value"
    ] * 2
