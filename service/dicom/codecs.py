"""Decoders of compressed frames; each may raise anything on a stream that it cannot decode.

imagecodecs loads the library of a codec when it is first called.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from rle.rle import decode_frame

_JPEG2000_THREADS = 2  # it is the slowest codec: a file that arrives alone is decoded on two cores

Samples = NDArray[np.integer[Any]]


def decode_jpeg(stream: bytes) -> Samples:
    """Decode JPEG with libjpeg-turbo: DCT of 8 and 12 bits, lossless of 2 to 16 bits."""
    return np.asarray(imagecodecs.jpeg8_decode(stream))


def decode_jpeg_ls(stream: bytes) -> Samples:
    """Decode JPEG-LS with CharLS."""
    return np.asarray(imagecodecs.jpegls_decode(stream))


def decode_jpeg2000(stream: bytes) -> Samples:
    """Decode a JPEG 2000 or HTJ2K code stream with OpenJPEG."""
    return np.asarray(imagecodecs.jpeg2k_decode(stream, numthreads=_JPEG2000_THREADS))


def decode_htj2k(stream: bytes) -> Samples:
    """Decode an HTJ2K code stream with OpenJPH.

    Where OpenJPH fails in the middle of an image, imagecodecs prints the error and returns the rest in black.
    """
    with _printed_errors_raised():
        return np.asarray(imagecodecs.htj2k_decode(stream))


@contextmanager
def _printed_errors_raised() -> Iterator[None]:
    errors: list[object] = []
    previous = sys.unraisablehook

    def note(report: Any) -> None:
        (errors.append if str(report.object).startswith("imagecodecs.") else previous)(report)

    sys.unraisablehook = note
    try:
        yield
    finally:
        sys.unraisablehook = previous
    if errors:
        raise ValueError("the code stream is corrupt")


def decode_rle(frame: bytes, pixels: int, bits: int) -> NDArray[np.unsignedinteger[Any]]:
    """Decode RLE, PS3.5 annex G.

    Parameters
    ----------
    pixels
        Rows x Columns.
    bits
        Bits Allocated, 8 or 16.

    Returns
    -------
    [N] uint8 or uint16; planes one after another.

    Raises
    ------
    ValueError
    """
    try:
        decoded = decode_frame(frame, pixels, bits, "<")
    except BaseException as error:
        if type(error).__module__ == "pyo3_runtime":  # a panic in Rust, which is no Exception
            raise ValueError("the RLE decoder panicked") from None
        raise
    return np.frombuffer(decoded, f"<u{bits // 8}")
