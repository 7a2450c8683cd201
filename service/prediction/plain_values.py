"""Results of a decoder process, which may have been taken over: only values without behaviour are unpickled.

A pickle names functions, which unpickling calls. Here it may name the service's frozen values and errors, Python's
errors, and NumPy's arrays of numbers, for which functions of this module stand in.
"""

import builtins
import pickle
import re
from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from importlib import import_module
from io import BytesIO
from types import ModuleType
from typing import Any, Literal

_NUMBERS = re.compile(r"[<>|=]?[biuf][1248]")
_MODULES = re.compile(r"service\.(dicom\.\w+|errors|prediction\.(jobs|cage|plain_values))")


class JobFailed(Exception):
    """A call in another process raised what cannot be received, or its result cannot be; the message names the kind."""


def unpickle(content: bytes, buffers: Sequence[memoryview]) -> Any:
    """Unpickle a value.

    Parameters
    ----------
    buffers
        Arrays that are not in the pickle, in order.

    Raises
    ------
    Exception
        The pickle is broken or names something else; any kind.
    """
    return _Unpickler(BytesIO(content), buffers=buffers).load()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle may name."""
        kind = _STAND_INS.get((module, name))
        if kind is None and module == "builtins":
            kind = _class(builtins, name, Exception)
        elif kind is None and _MODULES.fullmatch(module):
            kind = _class(import_module(module), name, Exception, tuple)
        if kind is None or kind is StopIteration:  # which no future can raise
            raise pickle.UnpicklingError("the result names something else than a value")
        return kind


def _class(module: ModuleType, name: str, *bases: type) -> type | None:
    kind = getattr(module, name, None)
    return kind if isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, bases)) else None


class _NumberType:
    """Stands for `numpy.dtype`, whose own unpickling trusts what it reads."""

    def __init__(self, code: str, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: tuple[object, ...]) -> None:
        self.code = f"{state[1]}{self.code}"  # the byte order

    def checked(self) -> str:
        if not _NUMBERS.fullmatch(self.code):
            raise pickle.UnpicklingError("expected an array of numbers")
        return self.code


def _array(buffer: Any, kind: _NumberType, shape: tuple[int, ...], order: Literal["C", "F"], *_: object) -> Any:
    import numpy as np  # here, because a decoder process imports it in its cage

    return np.frombuffer(buffer, kind.checked()).reshape(shape, order=order)


def _scalar(kind: _NumberType, content: bytes) -> Any:
    import numpy as np

    return np.frombuffer(content, kind.checked())[0]


_STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): _NumberType,
    ("numpy._core.numeric", "_frombuffer"): _array,
    ("numpy._core.multiarray", "scalar"): _scalar,
}
