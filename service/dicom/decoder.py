"""From pixel data to stored values, in every transfer syntax that is supported."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
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

from service.dicom.codestream import dimensions, is_complete
from service.dicom.elements import binary, integer, name
from service.dicom.jpeg_extended import decode_jpeg_extended
from service.dicom.reader import NATIVE
from service.errors import MalformedDicom, UnsupportedEncoding

Stored = NDArray[np.integer[Any]]

# One plug-in each: by default pydicom tries every installed plug-in on what the first could not decode.
_PLUGINS = {
    **dict.fromkeys(map(str, NATIVE), ""),
    str(JPEGBaseline8Bit): "pillow",
    str(JPEGExtended12Bit): "pillow",  # 8 bits; pydicom's plug-ins refuse 12
    str(JPEGLossless): "gdcm",
    str(JPEGLosslessSV1): "gdcm",
    str(JPEGLSLossless): "pyjpegls",
    str(JPEGLSNearLossless): "pyjpegls",
    str(JPEG2000Lossless): "pylibjpeg",
    str(JPEG2000): "pylibjpeg",
    str(HTJ2KLossless): "pylibjpeg",
    str(HTJ2KLosslessRPCL): "pylibjpeg",
    str(HTJ2K): "pylibjpeg",
    str(RLELossless): "pylibjpeg",
}
SYNTAXES = frozenset(_PLUGINS)
_LOSSY = {str(uid) for uid in (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, HTJ2K)}
_WITHOUT_CODESTREAM = {*map(str, NATIVE), str(RLELossless)}


def decode(dataset: Dataset) -> Stored:
    """Decode the first frame.

    Parameters
    ----------
    dataset
        A data set as `reader.read` returns it.

    Returns
    -------
    [H, W] uint8, int8, uint16 or int16: stored values, bits above Bits Stored removed, sign respected.

    Raises
    ------
    UnsupportedEncoding
        `transfer_syntax_unsupported`, `pixel_format_unsupported`.
    MalformedDicom
        `pixel_data_corrupt`, `element_missing`, `value_invalid`.
    """
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if syntax not in SYNTAXES:
        raise UnsupportedEncoding(f"{name('TransferSyntaxUID')} is not supported", "transfer_syntax_unsupported")
    _check_format(dataset)
    if dataset["PixelData"].is_undefined_length == (syntax in NATIVE):
        raise _corrupt("must be in fragments exactly where the transfer syntax is compressed")
    if syntax not in _WITHOUT_CODESTREAM:
        _check_stream(dataset)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = _values(dataset, syntax)
    except MemoryError:
        raise
    except Exception:  # six libraries, each of which fails in its own ways
        raise _corrupt("cannot be decoded") from None
    if values.shape != (integer(dataset, "Rows"), integer(dataset, "Columns")):
        raise _corrupt("is not Rows x Columns")
    return significant(values, dataset, clip=syntax in _LOSSY)


def significant(values: Stored, dataset: Dataset, clip: bool) -> Stored:
    """Keep the bits that Bits Stored, High Bit and Pixel Representation define, PS3.5 8.1.1.

    Parameters
    ----------
    values
        [H, W] integers of Bits Allocated.
    clip
        True after a lossy decoder, which may overshoot: masking would turn an overshooting white pixel black. False
        masks the bits above Bits Stored, where overlays may be.

    Returns
    -------
    [H, W] uint8, int8, uint16 or int16.
    """
    allocated, bits, signed = (integer(dataset, key) for key in ("BitsAllocated", "BitsStored", "PixelRepresentation"))
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    dtype = np.dtype(f"{'i' if signed else 'u'}{allocated // 8}")
    if clip:
        return np.clip(values.astype(np.int32), low, high).astype(dtype)
    shift = max(integer(dataset, "HighBit", bits - 1) - bits + 1, 0) if _is_native(dataset) else 0
    words = values.astype(f"u{allocated // 8}")
    masked: Stored = words >> words.dtype.type(shift) & words.dtype.type((1 << bits) - 1)
    if not signed:
        return masked
    sign = words.dtype.type(1 << bits - 1)
    extended: Stored = ((masked ^ sign) - sign).view(dtype)  # modulo the word
    return extended


def _values(dataset: Dataset, syntax: str) -> Stored:
    if syntax == JPEGExtended12Bit and integer(dataset, "BitsAllocated") == 16:
        rows, columns, bits = (integer(dataset, key) for key in ("Rows", "Columns", "BitsStored"))
        return decode_jpeg_extended(_frame(dataset), rows, columns, bits)
    values: Stored
    values, _ = get_decoder(syntax).as_array(
        dataset,
        index=0,
        raw=True,
        decoding_plugin=_PLUGINS[syntax],
        correct_unused_bits=False,  # type: ignore[arg-type]
    )
    return values


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


def _check_stream(dataset: Dataset) -> None:
    try:
        frame = _frame(dataset)
    except (ValueError, TypeError, IndexError, StopIteration):
        raise _corrupt("is not in fragments") from None
    if dimensions(frame) != (integer(dataset, "Rows"), integer(dataset, "Columns")):
        raise _corrupt("is not Rows x Columns")
    if not is_complete(frame):
        raise _corrupt("ends before its image does")


def _frame(dataset: Dataset) -> bytes:
    frames = integer(dataset, "NumberOfFrames", 1)
    return bytes(get_frame(binary(dataset, "PixelData"), 0, number_of_frames=frames))


def _is_native(dataset: Dataset) -> bool:
    return dataset.file_meta.TransferSyntaxUID in NATIVE


def _corrupt(fault: str) -> MalformedDicom:
    return MalformedDicom(f"{name('PixelData')} {fault}", "pixel_data_corrupt")
