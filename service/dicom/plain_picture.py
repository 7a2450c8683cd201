"""A PNG or JPEG picture of a radiograph, without any DICOM attribute: its grey values, and a DICOM file made of it."""

import hashlib
from io import BytesIO
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from service.dicom.foreign_format import READABLE
from service.dicom.reader import Bounds
from service.errors import TooLarge, UnsupportedEncoding

Greys = NDArray[np.uint8] | NDArray[np.uint16]

FORMATS = tuple(sorted(READABLE))
UNREADABLE = (OSError, SyntaxError, ValueError)  # what Pillow raises on files that it cannot read


def stored_greys(image: Image.Image) -> Greys:
    """Return the grey values of a picture, [H, W], uint16 where it has 16 bits and uint8 otherwise.

    RGB, RGBA and palette pictures whose channels are equal (some of ChestX-ray14) are read as greyscale; a transparency
    channel is ignored.

    Raises
    ------
    UnsupportedEncoding
        `image_unreadable`, or `colour_image` where the three channels differ.
    """
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if image.mode in ("1", "L", "LA"):
        return np.asarray(image.convert("L"))
    if image.mode not in ("RGB", "RGBA", "P"):
        raise UnsupportedEncoding(f"expected 8-bit or 16-bit greyscale, got mode {image.mode}", "image_unreadable")
    red, green, blue = np.moveaxis(np.asarray(image.convert("RGB")), -1, 0)  # each [H, W]
    if not (np.array_equal(red, green) and np.array_equal(red, blue)):
        raise UnsupportedEncoding("expected a greyscale image, got colour", "colour_image")
    return np.asarray(red)


def as_chest(data: bytes, bounds: Bounds) -> bytes:
    """Make a DICOM file of a picture that is assumed to be an upright frontal chest radiograph with black air.

    Body part, view and patient stay unknown, so that the gate flags what is missing. The display values are those of
    the picture, from black 0 to the highest value of its bits.

    Raises
    ------
    UnsupportedEncoding
        `image_unreadable`, `colour_image`.
    TooLarge
        `image_too_large`.
    """
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > bounds.max_pixels:
                raise TooLarge(f"the picture must have at most {bounds.max_pixels} pixels", "image_too_large")
            image.load()
            greys = stored_greys(ImageOps.exif_transpose(image))
    except UNREADABLE as error:
        raise UnsupportedEncoding("not a readable PNG or JPEG", "image_unreadable") from error
    return _file(_radiograph(greys, hashlib.sha256(data).hexdigest()))


def _radiograph(greys: Greys, digest: str) -> Dataset:
    bits = 8 * greys.itemsize
    highest = 2**bits - 1
    elements: dict[str, Any] = {
        "SOPClassUID": SecondaryCaptureImageStorage,
        "SOPInstanceUID": _uid(digest, "instance"),
        "StudyInstanceUID": _uid(digest, "study"),
        "SeriesInstanceUID": _uid(digest, "series"),
        "Modality": "CR",
        "ConversionType": "WSD",
        "PhotometricInterpretation": "MONOCHROME2",
        "SamplesPerPixel": 1,
        "Rows": greys.shape[0],
        "Columns": greys.shape[1],
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": 0,
        "WindowCenter": highest / 2,
        "WindowWidth": highest,
        "VOILUTFunction": "LINEAR_EXACT",  # PS3.3 C.11.2.1.3.2: black is 0, white is `highest`
    }
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    pixels = greys.astype(greys.dtype.newbyteorder("<")).tobytes()
    dataset.add_new("PixelData", "OB" if bits == 8 else "OW", pixels + bytes(len(pixels) % 2))
    return dataset


def _uid(digest: str, part: str) -> str:
    return f"2.25.{uuid5(NAMESPACE_OID, f'{digest}/{part}').int}"  # PS3.5 B.2


def _file(dataset: Dataset) -> bytes:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stream = BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()
