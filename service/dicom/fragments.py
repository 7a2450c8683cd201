"""Frames as they lie in Pixel Data: in fragments, PS3.5 A.4, or one after another."""

import numpy as np
from pydicom import Dataset
from pydicom.encaps import generate_fragments, generate_frames
from pydicom.uid import ExplicitVRBigEndian

from service.dicom.elements import binary, frame_count, integer


def encoded_frames(dataset: Dataset) -> tuple[bytes, ...]:
    """Return the frames of compressed Pixel Data, in order.

    A single frame is all fragments, whatever the offset table says of them: some are wrong.

    Raises
    ------
    MalformedDicom, ValueError
        Pixel Data is not in fragments.
    """
    value, count = binary(dataset, "PixelData"), frame_count(dataset)
    if count == 1:
        _, *fragments = generate_fragments(value)  # the first item is the offset table
        return (b"".join(fragments),)
    return tuple(generate_frames(value, number_of_frames=count))


def native_pixels(dataset: Dataset) -> bytes:
    """Return uncompressed Pixel Data in little-endian order, with what follows the last frame.

    Raises
    ------
    MalformedDicom
    """
    value = binary(dataset, "PixelData")
    if dataset.file_meta.TransferSyntaxUID != ExplicitVRBigEndian:
        return value
    # PS3.5 A.3: words are swapped, including those that hold two 8-bit pixels
    if dataset["PixelData"].VR == "OW" or integer(dataset, "BitsAllocated") == 16:
        return np.frombuffer(value[: len(value) // 2 * 2], ">u2").astype("<u2").tobytes()
    return value
