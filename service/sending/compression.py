"""Compression of the objects that are sent, without loss: they are several times larger than the radiograph."""

from collections.abc import Collection
from io import BytesIO

from pydicom import Dataset, dcmread
from pydicom.uid import JPEGLSLossless, RLELossless, SecondaryCaptureImageStorage, SegmentationStorage

from service.dicom.reader import Bounds
from service.dicom.transcode import compressed

# Best first. Viewers that read colour in JPEG-LS are common; those that read a Segmentation so are not.
_SYNTAXES: dict[str, tuple[str, ...]] = {
    str(SecondaryCaptureImageStorage): (str(JPEGLSLossless), str(RLELossless)),
    str(SegmentationStorage): (str(RLELossless),),
}


def compressed_syntaxes(dataset: Dataset) -> tuple[str, ...]:
    """Return the transfer syntaxes to which an object can be compressed, best first; none where it is not of 8 bits."""
    return _SYNTAXES.get(str(dataset.SOPClassUID), ()) if dataset.get("BitsAllocated") == 8 else ()


def best_accepted(dataset: Dataset, data: bytes, accepted: Collection[str]) -> Dataset:
    """Return an object in the best transfer syntax that a receiver accepts, or as it is.

    Parameters
    ----------
    data
        The file of `dataset`.
    """
    for syntax in compressed_syntaxes(dataset):
        if syntax in accepted:
            return dcmread(BytesIO(compressed(data, Bounds(max_file_bytes=len(data)), syntax)))
    return dataset
