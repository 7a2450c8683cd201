"""The whole way from bytes to display values."""

import hashlib
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from time import perf_counter
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from service.dicom.attributes import attributes
from service.dicom.decoder import decode
from service.dicom.elements import name, text
from service.dicom.gate import accept
from service.dicom.pixels import aspect, display
from service.dicom.reader import Bounds, read
from service.dicom.unwindowed import Tones, tones
from service.errors import MalformedDicom, TriageError, about

Result = TypeVar("Result")

_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")  # PS3.5 9.1


@dataclass(frozen=True)
class Header:
    """What is known of a radiograph beside its pixels.

    Attributes
    ----------
    attributes
        As `attributes` reads them: for lists and queries.
    flags
        Of the gate, then of the pixel path; snake_case.
    height, width
        Of the image that was sent, in pixels.
    aspect
        Height over width of a pixel.
    display_sha256
        Hash of the display values before resizing, and of their shape.
    timings_ms
        `read`, `decode`, `prepare`.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    accession_number: str
    attributes: dict[str, str] = field(repr=False)
    flags: tuple[str, ...]
    height: int
    width: int
    aspect: float
    display_sha256: str
    timings_ms: dict[str, float]


@dataclass(frozen=True)
class Radiograph:
    """A frontal chest radiograph: `header`, and `values` [H, W] float32 in [0, 1], 0 black."""

    header: Header
    values: NDArray[np.float32]


def radiograph(data: bytes, bounds: Bounds = Bounds()) -> Radiograph:  # noqa: B008 (frozen)
    """Read, judge, decode and display one file.

    Raises
    ------
    MalformedDicom, TooLarge, UnsupportedEncoding, UnsuitableImage
        And nothing else, whatever the bytes are.
    """
    return _blaming_the_file(partial(_radiograph, data, bounds))


def unwindowed(data: bytes, bounds: Bounds = Bounds()) -> Tones:  # noqa: B008 (frozen)
    """Read, judge and decode one file, and give its values before the window.

    Raises
    ------
    As `radiograph`.
    """
    return _blaming_the_file(partial(_unwindowed, data, bounds))


def display_sha256(values: NDArray[np.float32]) -> str:
    """Hash of [H, W] values as little-endian float32, and of their shape."""
    digest = hashlib.sha256(f"{values.shape[0]}x{values.shape[1]}\n".encode())
    digest.update(np.ascontiguousarray(values + np.float32(0), "<f4").data)  # + 0: there is no -0
    return digest.hexdigest()


def _blaming_the_file(work: Callable[[], Result]) -> Result:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values
            return work()
    except TriageError:
        raise
    except MemoryError:
        raise MalformedDicom("the image takes more memory than it may", "decoder_failed") from None
    except Exception:  # the file's fault: other people wrote it, and pydicom converts its values late
        raise MalformedDicom("the data set cannot be interpreted", "value_invalid") from None


def _unwindowed(data: bytes, bounds: Bounds) -> Tones:
    dataset = read(data, bounds)
    with about(text(dataset, "SOPInstanceUID")):
        accept(dataset)
        return tones(decode(dataset), dataset)


def _radiograph(data: bytes, bounds: Bounds) -> Radiograph:
    began = perf_counter()
    dataset = read(data, bounds)
    with about(text(dataset, "SOPInstanceUID"), text(dataset, "SOPClassUID")):
        return _accepted(dataset, began)


def _accepted(dataset: Dataset, began: float) -> Radiograph:
    flags = accept(dataset)
    uids = {keyword: _uid(dataset, keyword) for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")}
    has_read = perf_counter()
    stored = decode(dataset)
    has_decoded = perf_counter()
    shown = display(stored, dataset)
    header = Header(
        study_instance_uid=uids["StudyInstanceUID"],
        series_instance_uid=uids["SeriesInstanceUID"],
        sop_instance_uid=uids["SOPInstanceUID"],
        sop_class_uid=text(dataset, "SOPClassUID"),
        accession_number=text(dataset, "AccessionNumber"),
        attributes=attributes(dataset),
        flags=flags + shown.flags,
        height=stored.shape[0],
        width=stored.shape[1],
        aspect=aspect(dataset),
        display_sha256=display_sha256(shown.values),
        timings_ms=_timings(began, has_read, has_decoded, perf_counter()),
    )
    return Radiograph(header, shown.values)


def _uid(dataset: Dataset, keyword: str) -> str:
    uid = text(dataset, keyword)
    if not uid:
        raise MalformedDicom(f"{name(keyword)}: a UID wanted, got none", "uid_missing")
    if len(uid) > 64 or not _UID.fullmatch(uid):
        raise MalformedDicom(f"{name(keyword)}: a UID of at most 64 digits and dots wanted, got another", "uid_invalid")
    return uid


def _timings(*moments: float) -> dict[str, float]:
    spans = (1000 * (end - start) for start, end in pairwise(moments))
    return dict(zip(("read", "decode", "prepare"), spans, strict=True))
