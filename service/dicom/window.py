"""Windows: which part of the values is spread from black to white, PS3.3 C.11.2.1.2 and C.11.2.1.3."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from service.dicom.elements import numbers, text

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")  # PS3.3 C.11.2.1.3


class Window(NamedTuple):
    """A window of the file. A `function` other than LINEAR_EXACT and SIGMOID counts as LINEAR."""

    centre: float
    width: float
    function: str


class Span(NamedTuple):
    """A straight line from black at `low` to white at `high`; all black where `high` is not above `low`."""

    low: float
    high: float


def windows(dataset: Dataset) -> tuple[Window, ...]:
    """Return every window of the file, invalid ones included.

    Raises
    ------
    MalformedDicom
        `value_invalid`.
    """
    function = text(dataset, "VOILUTFunction").upper() or "LINEAR"
    pairs = zip(numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth"), strict=False)
    return tuple(Window(centre, width, function) for centre, width in pairs)


def is_valid(window: Window) -> bool:
    """Whether the function allows the width."""
    if window.function in ("LINEAR_EXACT", "SIGMOID"):
        return window.width > 0
    return window.width >= 1  # PS3.3 C.11.2.1.2.1


def full_span(values: NDArray[np.float64], visible: NDArray[np.bool_]) -> Span:
    """Span from the smallest to the largest of those [N] float64 values where `visible`, [N] bool, is true."""
    if not visible.any():
        return Span(0, 0)
    return Span(float(values[visible].min()), float(values[visible].max()))


def apply_window(values: NDArray[np.float64], window: Window | Span) -> NDArray[np.float64]:
    """Map values, [N] float64, to greys, [N] float64 in [0, 1]."""
    if isinstance(window, Span):
        if window.high <= window.low:
            return np.zeros(values.shape)
        return np.clip((values - window.low) / (window.high - window.low), 0, 1)
    centre, width, function = window
    if function == "SIGMOID":  # PS3.3 C.11.2.1.3.1
        return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
    if function == "LINEAR_EXACT":  # PS3.3 C.11.2.1.3.2
        return np.clip((values - centre) / width + 0.5, 0, 1)
    if width == 1:  # PS3.3 C.11.2.1.2.1: a threshold
        return np.where(values > centre - 0.5, 1.0, 0.0)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)  # PS3.3 C.11.2.1.2.1


def is_beside(values: NDArray[np.float64], window: Window) -> bool:
    """Whether different values, [N] float64, are all black in the window, or all white."""
    if values.size == 0 or values.min() == values.max():
        return False
    greys = apply_window(values, window)
    margin = 0.5 / 255 if window.function == "SIGMOID" else 0.0  # it never reaches either end
    return bool(greys.max() <= margin or greys.min() >= 1 - margin)


def standard_window(window: Window | Span) -> Window:
    """Return the window, in a function of the standard, that shows the same; a span becomes LINEAR.

    LINEAR is the default function: a viewer that knows no other shows the same, too.
    """
    if isinstance(window, Span):
        width = max(window.high - window.low, 0) + 1  # 1 is a threshold above `low`: all black
        return Window(window.low + width / 2, width, "LINEAR")
    return window if window.function in FUNCTIONS else window._replace(function="LINEAR")
