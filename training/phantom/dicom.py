"""A phantom as a 12-bit DX file that is marked as a phantom."""

import hashlib
import uuid
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, JPEGLSLossless

from training.phantom.camera import FOCUS_MM
from training.phantom.film import Phantom

LOWEST, SPAN = 256, 3584  # stored values of black, and from black to white
DETECTOR_MM = 150.0  # from the isocentre
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "agcnn-triage/phantom")
VIEW_CODES = {"PA": ("272479007", "postero-anterior"), "AP": ("399348003", "antero-posterior")}  # PS3.16 CID 4010


@dataclass(frozen=True)
class Encoding:
    """Encoding of a file.

    Parameters
    ----------
    photometric
        PhotometricInterpretation; MONOCHROME1 stores the same picture inverted.
    compressed
        Whether to use JPEG-LS lossless instead of explicit VR little endian.
    view
        ViewPosition that replaces the phantom's own.
    """

    photometric: Literal["MONOCHROME1", "MONOCHROME2"] = "MONOCHROME2"
    compressed: bool = False
    view: str | None = None


def stored_values(values: NDArray[np.float32], encoding: Encoding) -> NDArray[np.uint16]:
    """Convert display values `[H, W] float32 in [0, 1]` to 12-bit stored values `[H, W] uint16`."""
    grey = values if encoding.photometric == "MONOCHROME2" else 1 - values
    return np.asarray(np.rint(LOWEST + SPAN * grey), dtype=np.uint16)


def write_dicom(phantom: Phantom, seed: int, encoding: Encoding = Encoding()) -> bytes:
    """Write a DICOM Part 10 file: the same phantom, seed and encoding give the same bytes."""
    pixels = stored_values(phantom.values, encoding)
    dataset = FileDataset("", Dataset(), preamble=b"\0" * 128)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    _identify(dataset, phantom, (seed, phantom.patient), _name(pixels, encoding))
    _acquire(dataset, phantom, encoding)
    _depict(dataset, pixels, encoding)
    if encoding.compressed:
        dataset.compress(JPEGLSLossless, encoding_plugin="pyjpegls", generate_instance_uid=False)
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _name(pixels: NDArray[np.uint16], encoding: Encoding) -> str:
    return f"{encoding.photometric}/{encoding.view}/{hashlib.sha256(pixels.tobytes()).hexdigest()}"


def _uid(*parts: object) -> str:
    """Derive a UID from a UUID: PS3.5 B.2."""
    return f"2.25.{uuid.uuid5(NAMESPACE, '/'.join(map(str, parts))).int}"


def _identify(dataset: Dataset, phantom: Phantom, whose: tuple[int, int], name: str) -> None:
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = _uid("instance", *whose, name)
    dataset.SeriesInstanceUID = _uid("series", *whose, name)
    dataset.StudyInstanceUID = _uid("study", *whose, name)
    dataset.PatientName = f"PHANTOM^{phantom.patient:06d}"
    dataset.PatientID = f"PHANTOM-{whose[0]}-{phantom.patient:06d}"
    dataset.PatientSex = phantom.sex
    dataset.PatientAge = f"{phantom.age:03d}Y"
    dataset.PatientBirthDate = ""
    dataset.PatientComments = "Procedural phantom. Not a person."
    dataset.StudyID = dataset.AccessionNumber = f"PH{_uid('accession', *whose, name)[-10:]}"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = dataset.AcquisitionDate = "20260101"
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = dataset.AcquisitionTime = "120000"
    dataset.ReferringPhysicianName = ""
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    dataset.StudyDescription = dataset.SeriesDescription = "Chest phantom"


def _acquire(dataset: Dataset, phantom: Phantom, encoding: Encoding) -> None:
    dataset.Modality = "DX"
    dataset.Manufacturer = "AG-CNN triage"
    dataset.ManufacturerModelName = "Procedural phantom"
    dataset.BodyPartExamined = "CHEST"
    dataset.AnatomicRegionSequence = Sequence([_code("51185008", "Chest")])
    dataset.ViewPosition = encoding.view or phantom.view
    if encoding.view is None:
        dataset.ViewCodeSequence = Sequence([_code(*VIEW_CODES[phantom.view])])
    dataset.PatientOrientation = ["L", "F"]
    dataset.ImageLaterality = "U"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.PositionerType = "NONE"
    dataset.DetectorType = "DIRECT"
    dataset.KVP = 120
    dataset.DistanceSourceToDetector = FOCUS_MM[phantom.view] + DETECTOR_MM
    dataset.AcquisitionContextSequence = Sequence([])
    dataset.QualityControlImage = "YES"  # PS3.3 C.7.6.1: a quality control or phantom image
    at_detector = phantom.pitch * dataset.DistanceSourceToDetector / FOCUS_MM[phantom.view]
    dataset.ImagerPixelSpacing = [round(at_detector, 4)] * 2
    dataset.PixelSpacing = [round(phantom.pitch, 4)] * 2
    dataset.PixelSpacingCalibrationType = "GEOMETRY"
    dataset.PixelSpacingCalibrationDescription = "At the isocentre"


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "SCT", meaning
    return code


def _depict(dataset: Dataset, pixels: NDArray[np.uint16], encoding: Encoding) -> None:
    bright = encoding.photometric == "MONOCHROME2"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", ""]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = encoding.photometric
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = -1 if bright else 1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.PresentationLUTShape = "IDENTITY" if bright else "INVERSE"
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    dataset.WindowCenter = LOWEST + SPAN / 2 + 0.5  # PS3.3 C.11.2.1.2.1, LINEAR
    dataset.WindowWidth = SPAN + 1
    dataset.PixelData = pixels.astype("<u2").tobytes()
