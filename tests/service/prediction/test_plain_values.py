"""What may come back from a decoder process: values, and nothing that does something when it is unpickled."""

import os
import pickle
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from service.dicom.grid import Grid
from service.dicom.lut import Table
from service.dicom.radiograph import radiograph
from service.errors import MalformedDicom, Reason, TriageError, UnsuitableImage
from service.prediction.jobs import Prepared
from service.prediction.plain_values import JobFailed, unpickle
from service.prediction.transfer import pack
from tests.factories import dicom_bytes, ramp


def through(value: object) -> Any:
    package = pack(value)
    return unpickle(package.content, package.arrays)


_NUMBERS = ["u1", "<i2", ">i2", "<f4", ">f8", "<u8", "?"]


@given(st.sampled_from(_NUMBERS).flatmap(lambda kind: arrays.arrays(kind, arrays.array_shapes(min_side=0))))
def test_arrays_of_numbers_come_back(values: np.ndarray) -> None:
    got = through(values)
    assert (got.dtype, got.shape) == (values.dtype, values.shape)
    np.testing.assert_array_equal(got, values)
    assert np.array_equal(through(np.asfortranarray(values)), values, equal_nan=values.dtype.kind == "f")


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -(2**70),
        0.1,
        "ä",
        b"bytes",
        [1, (2, {"three": {4}})],
        np.float32(0.5),
        np.uint16(7),
        Grid(1, 2, 1.0, (0.1, 0.2), "PixelSpacing"),
        Reason("code", "message"),
    ],
    ids=repr,
)
def test_plain_values_come_back(value: object) -> None:
    assert through(value) == value
    assert type(through(value)) is type(value)


def test_the_values_of_the_service_come_back() -> None:
    image = radiograph(dicom_bytes(ramp(300, 260)))
    got = through(Prepared(image.header, image.values))
    assert got.header == image.header
    assert np.array_equal(got.canvas, image.values)
    table = through(Table(1, np.arange(3, dtype=np.uint16), 2))
    assert (type(table), table.entries.tolist()) == (Table, [0, 1, 2])


@pytest.mark.parametrize(
    "error",
    [
        MalformedDicom("message", "code"),
        UnsuitableImage((Reason("code", "message"),)),
        MemoryError(),
        FileNotFoundError(2, "no"),
        JobFailed("kind"),
    ],
    ids=repr,
)
def test_errors_come_back(error: Exception) -> None:
    got = through(error)
    assert type(got) is type(error)
    assert str(got) == str(error)
    if isinstance(error, TriageError):
        assert (got.code, vars(got)) == (error.code, vars(error))


@dataclass(frozen=True)
class Calls:
    """Pickles as a call."""

    function: Any
    arguments: tuple[Any, ...]

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


@pytest.mark.parametrize(
    "acting",
    [
        lambda path: Calls(os.system, (f"touch {path}",)),
        lambda path: Calls(eval, (f"open({path!r}, 'w')",)),
        lambda path: Calls(exec, (f"open({path!r}, 'w')",)),
        lambda path: Calls(open, (path, "w")),
        lambda path: Calls(getattr, (Path(path), "touch")),
        lambda path: Calls(subprocess.Popen, (["touch", path],)),
        lambda path: Calls(partial, (os.system, f"touch {path}")),
        lambda path: Calls(np.memmap, (path, "u1", "w+", 0, (1,))),
        lambda path: Calls(np.load, (path,)),
        lambda _: Calls(SystemExit, ()),
        lambda _: Calls(KeyboardInterrupt, ()),
        lambda _: Calls(StopIteration, ()),
        lambda path: Path(path),
        lambda path: np.array([Calls(os.system, (f"touch {path}",))], object),
        lambda _: np.array(["text"]),
        lambda _: np.zeros(2, [("a", "u1"), ("b", "f8")]),
    ],
    ids=range(16),
)
def test_nothing_that_acts_is_unpickled(acting: Callable[[str], object], tmp_path: Path) -> None:
    target = tmp_path / "made"
    content = pickle.dumps(acting(str(target)), protocol=5)
    with pytest.raises(pickle.UnpicklingError):
        unpickle(content, [])
    assert not target.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("builtins", "BaseException"),
        ("builtins", "SystemExit"),
        ("service.dicom.reader", "re"),
        ("service.dicom.reader", "read"),
        ("service.dicom.reader", "Bounds.__init__"),
        ("service.dicom.grid.os", "system"),
        ("service.settings", "load"),
        ("service.prediction.jobs", "os"),
        ("service.prediction.jobs", "os.system"),
        ("service.prediction.cage", "enter"),
        ("service.prediction.worker", "Worker"),
        ("numpy", "ndarray"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy.f2py", "compile"),
    ],
)
def test_no_such_name_is_found(module: str, name: str) -> None:
    named = b"\x80\x04" + b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name)) + b"\x93."
    with pytest.raises(pickle.UnpicklingError, match="something else"):
        unpickle(named, [])


@given(st.binary(max_size=60))
def test_bytes_that_are_no_pickle_are_an_exception(content: bytes) -> None:
    try:
        unpickle(b"\x80\x05" + content, [])
    except Exception:
        return
