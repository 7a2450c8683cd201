"""12-bit JPEG Extended (PS3.5 8.2.1, process 4), which pydicom's plug-ins refuse, decoded by GDCM in memory."""

from typing import Any

import gdcm as untyped
import numpy as np
from numpy.typing import NDArray

gdcm: Any = untyped


def decode_jpeg_extended(frame: bytes, rows: int, columns: int, bits: int) -> NDArray[np.uint16]:
    """Decode one greyscale frame.

    Parameters
    ----------
    frame
        A JPEG stream of at most 12 bits a pixel.
    bits
        Bits Stored.

    Returns
    -------
    [H, W] uint16.

    Raises
    ------
    ValueError
        GDCM returned no pixels, or another number of them; so it does with a stream that it cannot decode.
    """
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((columns, rows, 1))
    image.SetDataElement(_pixel_data(frame))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, bits, bits - 1, 0))
    decoded = image.GetBuffer() or ""
    values = np.frombuffer(decoded.encode("utf-8", "surrogateescape"), "<u2")  # the binding returns bytes as text
    return values.reshape(rows, columns)


def _pixel_data(frame: bytes) -> Any:
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    return element
