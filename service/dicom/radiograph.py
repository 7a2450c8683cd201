"""From the bytes of a file to the display values of a radiograph."""

import hashlib
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from time import perf_counter
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from service.dicom.attributes import attributes
from service.dicom.decoder import Stored, decode, depth_flags
from service.dicom.elements import UID, name, text
from service.dicom.gate import accept
from service.dicom.pixels import Display, display
from service.dicom.policy import Policy
from service.dicom.reader import Bounds, read, read_with_flags
from service.dicom.unwindowed import Unwindowed, without_window
from service.errors import MalformedDicom, Reason, TriageError, UnsuitableImage, about

Result = TypeVar("Result")

# Raised by 1 whenever the display values of any file change: hashes are comparable only within one version.
# 2: display shutter, fallback from an unusable VOI, precision of the code stream.
# 3: hash of stored values and their greys in place of that of the display values.
IDENTITY_VERSION = 3


@dataclass(frozen=True)
class Header:
    """What is known of a radiograph beside its pixels.

    Attributes
    ----------
    attributes
        Values for lists and queries, see `service.dicom.attributes`.
    flags
        Flags of the gate, of the reader (`trailing_data`), of the UIDs (`uid_leading_zero`) and of the pixel path.
    height, width
        Size of the image in the file, in pixels.
    aspect
        Height over width of a pixel.
    display_sha256
        Hash of what the display values before resizing are made of, see `display_sha256`.
    timings_ms
        Durations of `read`, `decode` and `prepare`.
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


def radiograph(
    data: bytes,
    bounds: Bounds = Bounds(),  # noqa: B008 (frozen)
    policy: Policy = Policy(),  # noqa: B008 (frozen)
) -> Radiograph:
    """Read, check, decode and display one file.

    Returns
    -------
    A radiograph with `values` [H, W] float32 in [0, 1].

    Raises
    ------
    MalformedDicom, TooLarge, UnsupportedEncoding, UnsuitableImage
        And nothing else, whatever the bytes are.
    """
    return _with_errors_of_the_file(partial(_radiograph, data, bounds, policy))


# A stored file was accepted under the rules of its time. What follows shows it whatever the gate says today.


def unwindowed(data: bytes, bounds: Bounds = Bounds()) -> Unwindowed:  # noqa: B008 (frozen)
    """Read and decode a stored file, and return its values before the window.

    Raises
    ------
    MalformedDicom, TooLarge, UnsupportedEncoding
        And nothing else, whatever the bytes are.
    """
    return _with_errors_of_the_file(partial(_unwindowed, data, bounds))


def display_values(data: bytes, bounds: Bounds = Bounds()) -> NDArray[np.float32]:  # noqa: B008 (frozen)
    """Read, decode and display a stored file, [H, W] float32 in [0, 1], 0 black.

    Raises
    ------
    MalformedDicom, TooLarge, UnsupportedEncoding
        And nothing else, whatever the bytes are.
    """
    return _with_errors_of_the_file(partial(_display_values, data, bounds))


def shows_the_same(data: bytes, bounds: Bounds, other: bytes) -> bool:
    """Whether two stored files have equal display values.

    Raises
    ------
    MalformedDicom, TooLarge, UnsupportedEncoding
    """
    return np.array_equal(display_values(data, bounds), display_values(other, bounds))


def display_sha256(stored: Stored, image: Display) -> str:
    """Hash stored values, [H, W], and all that makes display values of them: their greys and the shutter.

    Equal hashes mean equal display values. Different hashes may also have equal ones: an image with its values written
    in another way, such as signed.

    Returns
    -------
    SHA-256, lower-case hex.
    """
    digest = hashlib.sha256(f"{stored.shape[0]}x{stored.shape[1]} {stored.dtype.kind}{stored.itemsize}\n".encode())
    digest.update(np.ascontiguousarray(stored, stored.dtype.newbyteorder("<")).data)
    digest.update((image.greys + np.float32(0)).astype("<f4").data)  # + 0 turns -0 into 0
    if image.presentation.shutter is not None:
        digest.update(np.packbits(image.presentation.shutter.covered).data)
    return digest.hexdigest()


def _with_errors_of_the_file(work: Callable[[], Result]) -> Result:
    """Do `work`; whatever fails in it is reported as an error of the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values
            return work()
    except TriageError:
        raise
    except MemoryError:
        raise MalformedDicom("the image requires more memory than is allowed", "decoder_failed") from None
    except Exception:  # files are not trusted, and pydicom converts their values late
        raise MalformedDicom("the data set cannot be interpreted", "value_invalid") from None


def _unwindowed(data: bytes, bounds: Bounds) -> Unwindowed:
    dataset = read(data, bounds)
    with about(text(dataset, "SOPInstanceUID")):
        return without_window(decode(dataset), dataset)


def _display_values(data: bytes, bounds: Bounds) -> NDArray[np.float32]:
    dataset = read(data, bounds)
    with about(text(dataset, "SOPInstanceUID")):
        return display(decode(dataset), dataset).values


def _radiograph(data: bytes, bounds: Bounds, policy: Policy) -> Radiograph:
    start = perf_counter()
    dataset, flags = read_with_flags(data, bounds)
    with about(text(dataset, "SOPInstanceUID"), text(dataset, "SOPClassUID")):
        return _accepted(dataset, policy, flags, start)


def _accepted(dataset: Dataset, policy: Policy, flags: tuple[str, ...], start: float) -> Radiograph:
    flags = (*accept(dataset, policy), *flags)
    uids = {keyword: _uid(dataset, keyword) for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")}
    read_end = perf_counter()
    stored = decode(dataset)
    decode_end = perf_counter()
    image = display(stored, dataset)
    if image.blank:
        reason = f"{name('PixelData')} has one grey, padding and what a shutter covers aside; an image is expected"
        raise UnsuitableImage((Reason("image_blank", reason),))
    header = Header(
        study_instance_uid=uids["StudyInstanceUID"],
        series_instance_uid=uids["SeriesInstanceUID"],
        sop_instance_uid=uids["SOPInstanceUID"],
        sop_class_uid=text(dataset, "SOPClassUID"),
        accession_number=text(dataset, "AccessionNumber"),
        attributes=attributes(dataset),
        flags=(
            *flags,
            *_leading_zeros(uids.values()),
            *depth_flags(stored, dataset),
            *image.presentation.flags,
        ),
        height=stored.shape[0],
        width=stored.shape[1],
        aspect=image.presentation.geometry.aspect,
        display_sha256=display_sha256(stored, image),
        timings_ms=_timings(start, read_end, decode_end, perf_counter()),
    )
    return Radiograph(header, image.values)


def _uid(dataset: Dataset, keyword: str) -> str:
    uid = text(dataset, keyword)
    if not uid:
        raise MalformedDicom(f"{name(keyword)} is required", "uid_missing")
    if len(uid) > 64 or not UID.fullmatch(uid):
        raise MalformedDicom(f"{name(keyword)} must be a UID of at most 64 digits and dots", "uid_invalid")
    return uid


def _leading_zeros(uids: Iterable[str]) -> tuple[str, ...]:
    """PS3.5 9.1 forbids them; archives take such UIDs, and every reference must be in the same characters."""
    return ("uid_leading_zero",) if any(re.search(r"(^|\.)0\d", uid) for uid in uids) else ()


def _timings(*moments: float) -> dict[str, float]:
    durations = (1000 * (end - start) for start, end in pairwise(moments))
    return dict(zip(("read", "decode", "prepare"), durations, strict=True))
