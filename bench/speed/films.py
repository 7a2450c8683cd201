"""The radiographs that are sent: one file of each transfer syntax, and copies under UIDs of their own.

Making a file takes much longer than predicting it. So each copy is the same file with other digits in its SOP and
Study Instance UIDs, of the same length, near its beginning; the rest of its bytes is shared by all copies.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import imagecodecs
import numpy as np
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, HTJ2KLossless, JPEG2000Lossless, JPEGLSLossless

from bench.page import HEIGHT, WIDTH, film
from bench.speed.size import SYNTAXES
from tests.factories import chest, compressed, encode

NUMBER = 100_000_000_000  # the digits of the UIDs that copies replace
_HEAD = 4096  # bytes, more than the elements before the pixels
_DIGITS = b"%d" % NUMBER
_numbers = itertools.count(1)
_UIDS = {"SOPInstanceUID": f"2.25.31{NUMBER}", "StudyInstanceUID": f"2.25.32{NUMBER}"}


@dataclass(frozen=True)
class Film:
    """A file whose copies cost nothing.

    Attributes
    ----------
    name
        Its transfer syntax or size, for tables.
    data
        Its bytes.
    """

    name: str
    data: bytes

    def copy(self) -> tuple[bytes, memoryview]:
        """Return a copy under new UIDs in two parts, of which the second is shared."""
        head = self.data[:_HEAD].replace(_DIGITS, b"%d" % (NUMBER + next(_numbers)))
        return head, memoryview(self.data)[_HEAD:]


def films(folder: Path, height: int, width: int, syntaxes: tuple[str, ...] = SYNTAXES) -> list[Film]:
    """Return a 12-bit radiograph in each transfer syntax; files in `folder` are made once."""
    return [_film(folder, height, width, syntax) for syntax in syntaxes]


def path(folder: Path, height: int, width: int, syntax: str) -> Path:
    """Return the file of a film."""
    return folder / f"{height}x{width} {syntax}.dcm"


def in_syntax(data: bytes, syntax: str) -> bytes:
    """Compress a file without loss."""
    dataset = dcmread(BytesIO(data))
    if syntax == "HTJ2K":
        stream = bytes(imagecodecs.htj2k_encode(dataset.pixel_array, reversible=True, tlm=True))
        dataset.PixelData = encapsulate([stream])
        dataset["PixelData"].is_undefined_length = True
        return encode(dataset, HTJ2KLossless)
    if syntax == "uncompressed":
        return encode(dataset, ExplicitVRLittleEndian)
    return compressed(dataset, {"JPEG-LS": JPEGLSLossless, "JPEG 2000": JPEG2000Lossless}[syntax])


def _film(folder: Path, height: int, width: int, syntax: str) -> Film:
    file = path(folder, height, width, syntax)
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        data = in_syntax(_picture(height, width), syntax)
        if data[:_HEAD].count(_DIGITS) != 3 or _DIGITS in data[_HEAD:]:
            raise ValueError("the UIDs are expected in the file meta and the data set, near the beginning")
        file.with_suffix(".partial").write_bytes(data)
        file.with_suffix(".partial").rename(file)
    return Film(syntax, file.read_bytes())


def _picture(height: int, width: int) -> bytes:
    """Return an uncompressed film; smaller ones are a corner of the large one, with the same noise."""
    whole = dcmread(BytesIO(film(NUMBER)))
    pixels = np.ascontiguousarray(whole.pixel_array[: min(height, HEIGHT), : min(width, WIDTH)])
    return encode(chest(pixels, PatientName="PHANTOM^1", **_UIDS))


def in_turn(films: list[Film]) -> Iterator[tuple[bytes, memoryview]]:
    """Yield copies of the films, one film after another, without end."""
    for each in itertools.cycle(films):
        yield each.copy()
