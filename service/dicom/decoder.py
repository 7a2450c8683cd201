"""From pixel data to stored values, in every transfer syntax that is supported."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from service.dicom.codecs import Samples, decode_htj2k, decode_jpeg, decode_jpeg2000, decode_jpeg_ls, decode_rle
from service.dicom.codestream import Stream, describe, has_all_steps, is_complete
from service.dicom.elements import integer, name
from service.dicom.fragments import encoded_frames, native_pixels
from service.dicom.outcome import stated
from service.dicom.reader import NATIVE
from service.errors import MalformedDicom, TriageError, UnsupportedEncoding

Stored = NDArray[np.integer[Any]]

_DECODERS: dict[str, Callable[[bytes], Samples]] = {
    str(JPEGBaseline8Bit): decode_jpeg,
    str(JPEGExtended12Bit): decode_jpeg,
    str(JPEGLossless): decode_jpeg,
    str(JPEGLosslessSV1): decode_jpeg,
    str(JPEGLSLossless): decode_jpeg_ls,
    str(JPEGLSNearLossless): decode_jpeg_ls,
    str(JPEG2000Lossless): decode_jpeg2000,
    str(JPEG2000): decode_jpeg2000,
    str(HTJ2KLossless): decode_htj2k,
    str(HTJ2KLosslessRPCL): decode_htj2k,
    str(HTJ2K): decode_jpeg2000,  # OpenJPH rounds a lossy image in another way than before
}
SYNTAXES = frozenset({*map(str, NATIVE), str(RLELossless), *_DECODERS})
_LOSSY = {str(uid) for uid in (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, HTJ2K)}
# Ringing overshoots an edge by at most 9 % of it in each direction of the image (Gibbs), so more is no overshoot.
_OVERSHOOT = 0.25


def decode(dataset: Dataset) -> Stored:
    """Decode the first frame.

    Parameters
    ----------
    dataset
        A data set as `reader.read` returns it.

    Returns
    -------
    [H, W] uint8, int8, uint16 or int16: stored values, bits above Bits Stored removed, sign respected. Where the code
    stream holds deeper values than Bits Stored, they are kept, see `depth_flags`.

    Raises
    ------
    UnsupportedEncoding
        `transfer_syntax_unsupported`, `pixel_format_unsupported`.
    MalformedDicom
        `pixel_data_corrupt`, `element_missing`, `value_invalid`.
    """
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if syntax not in SYNTAXES:
        registered = UID(syntax).name  # the UID again where the dictionary lacks it
        actual = stated(syntax, registered if registered != syntax else "")
        raise UnsupportedEncoding(
            f"{name('TransferSyntaxUID')} {actual}; one of the conformance statement is expected",
            "transfer_syntax_unsupported",
        )
    _check_format(dataset)
    if dataset["PixelData"].is_undefined_length == (syntax in NATIVE):
        raise _corrupt("must be in fragments exactly where the transfer syntax is compressed")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = _plain(dataset, syntax) if syntax not in _DECODERS else _from_stream(dataset, syntax)
    except (MemoryError, TriageError):
        raise
    except Exception:  # several libraries, each of which fails in its own ways
        raise _corrupt("cannot be decoded") from None
    return values.reshape(integer(dataset, "Rows"), integer(dataset, "Columns"))


def depth_flags(stored: Stored, dataset: Dataset) -> tuple[str, ...]:
    """Return `bits_stored_wrong` where decoded values do not fit in Bits Stored: the code stream is deeper."""
    low, high = _span(integer(dataset, "BitsStored"), bool(integer(dataset, "PixelRepresentation")))
    return ("bits_stored_wrong",) if stored.min() < low or stored.max() > high else ()


def stream_of(dataset: Dataset) -> tuple[bytes, Stream]:
    """Return the code stream of the first frame, and what it declares, which must be the image of the header.

    Raises
    ------
    MalformedDicom
        `pixel_data_corrupt`, `element_missing`, `value_invalid`.
    """
    try:
        frame = encoded_frames(dataset)[0]
    except (ValueError, TypeError, IndexError):
        raise _corrupt("is not in fragments") from None
    stream = describe(frame)
    shape = (integer(dataset, "Rows"), integer(dataset, "Columns"))
    if stream is None or (stream.rows, stream.columns) != shape:
        raise _corrupt("is not Rows x Columns")
    if stream.components != 1:
        raise _corrupt("has several samples per pixel in its code stream")
    if not is_complete(frame):
        raise _corrupt("ends before its image does")
    if not has_all_steps(frame[stream.start :]):
        raise _corrupt("has no quantisation step for a subband")
    return frame[stream.start :], stream


def _plain(dataset: Dataset, syntax: str) -> Stored:
    """Decode words that lie as in memory; bits above Bits Stored are removed: overlays may be there, PS3.5 8.1.1."""
    allocated, bits = integer(dataset, "BitsAllocated"), integer(dataset, "BitsStored")
    pixels = integer(dataset, "Rows") * integer(dataset, "Columns")
    if syntax == RLELossless:
        words: NDArray[np.unsignedinteger[Any]] = decode_rle(encoded_frames(dataset)[0], pixels, allocated)
    else:
        words = np.frombuffer(native_pixels(dataset), f"<u{allocated // 8}", pixels)
    shift = max(integer(dataset, "HighBit", bits - 1) - bits + 1, 0)
    shifted = words >> words.dtype.type(shift) if shift else words
    return _extended(shifted, bits, bool(integer(dataset, "PixelRepresentation")))


def _from_stream(dataset: Dataset, syntax: str) -> Stored:
    frame, stream = stream_of(dataset)
    samples = _DECODERS[syntax](frame)
    if samples.shape != (stream.rows, stream.columns) or samples.itemsize > 2:
        raise _corrupt("is no greyscale image of at most 16 bits")
    bits, signed = integer(dataset, "BitsStored"), bool(integer(dataset, "PixelRepresentation"))
    size = max(integer(dataset, "BitsAllocated") // 8, samples.itemsize)
    words = samples.astype(f"u{size}") & np.array((1 << stream.precision) - 1, f"u{size}")
    fits = stream.precision > bits and (_has_embedded_overlay(dataset) or not (words >> words.dtype.type(bits)).any())
    values = _extended(words, bits if fits else stream.precision, signed)
    return _without_overshoot(values, bits, signed) if syntax in _LOSSY else values


def _extended(words: NDArray[np.unsignedinteger[Any]], bits: int, signed: bool) -> Stored:
    """Keep the lowest bits of words, and extend the sign."""
    whole = bits == 8 * words.itemsize
    masked: Stored = words if whole else words & words.dtype.type((1 << bits) - 1)
    if not signed:
        return masked
    sign = words.dtype.type(1 << bits - 1)
    extended: Stored = ((masked ^ sign) - sign).view(f"i{words.itemsize}")  # modulo the word
    return extended


def _without_overshoot(values: Stored, bits: int, signed: bool) -> Stored:
    """Clip what a lossy encoder made of the extremes of the image, and keep values that are deeper."""
    low, high = _span(bits, signed)
    margin = _OVERSHOOT * (high - low)
    if values.min() < low - margin or values.max() > high + margin:
        return values
    return np.clip(values, low, high)


def _span(bits: int, signed: bool) -> tuple[int, int]:
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)


def _has_embedded_overlay(dataset: Dataset) -> bool:
    """Whether an overlay lies in bits of Pixel Data above Bits Stored (retired, PS3.3 C.9.2 of 2003)."""
    groups = range(0x6000, 0x6020, 2)
    return any((group, 0x0102) in dataset and (group, 0x3000) not in dataset for group in groups)


def _check_format(dataset: Dataset) -> None:
    allocated, bits = integer(dataset, "BitsAllocated"), integer(dataset, "BitsStored")
    if integer(dataset, "PixelRepresentation") not in (0, 1) or not 1 <= bits <= allocated:
        raise MalformedDicom(
            "(0028,0101) BitsStored must be 1 to BitsAllocated, and (0028,0103) PixelRepresentation 0 or 1",
            "value_invalid",
        )
    if integer(dataset, "HighBit", bits - 1) >= allocated:
        raise MalformedDicom(f"{name('HighBit')} must be less than BitsAllocated", "value_invalid")
    if allocated not in (8, 16) or integer(dataset, "SamplesPerPixel", 1) != 1:
        raise UnsupportedEncoding(
            "(0028,0100) BitsAllocated must be 8 or 16, and (0028,0002) SamplesPerPixel 1", "pixel_format_unsupported"
        )


def _corrupt(fault: str) -> MalformedDicom:
    return MalformedDicom(f"{name('PixelData')} {fault}", "pixel_data_corrupt")
