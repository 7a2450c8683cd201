"""Builders of DICOM files for tests: small, pure, deterministic."""

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image
from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

STUDY = "2.25.1001"
SERIES = "2.25.1002"
INSTANCE = "2.25.1003"

_ENCODERS = {  # GDCM's RLE encoder, which pydicom would take first, aborts the process on odd sizes
    RLELossless: "pydicom",
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
    JPEG2000Lossless: "pylibjpeg",
}


def ramp(height: int = 256, width: int = 256, bits: int = 12) -> np.ndarray:
    """Return [H, W] values that rise from 0 to 2^bits - 1, nearly all different; uint8 for 8 bits, else uint16."""
    rows, columns = np.mgrid[0:height, 0:width]
    share = (rows * width + columns) / (height * width - 1)
    return np.rint(share * (2**bits - 1)).astype(np.uint8 if bits <= 8 else np.uint16)


def noise(height: int = 256, width: int = 256, bits: int = 12, seed: int = 0) -> np.ndarray:
    """Return [H, W] uniform random values in 0 .. 2^bits - 1; uint8 for 8 bits, else uint16."""
    values = np.random.default_rng(seed).integers(0, 2**bits, (height, width))
    return values.astype(np.uint8 if bits <= 8 else np.uint16)


def chest(pixels: np.ndarray, **elements: Any) -> Dataset:
    """Return a frontal chest radiograph (DX, FOR PRESENTATION) that the gate accepts.

    `pixels` is [H, W], uint8, uint16, int8 or int16; uint16 pixels below 4096 have 12 bits stored. `elements` replace
    the defaults by keyword; None removes an element.
    """
    bits = _bits(pixels)
    inverse = elements.get("PhotometricInterpretation") == "MONOCHROME1"
    defaults: dict[str, Any] = {
        "SOPClassUID": DigitalXRayImageStorageForPresentation,
        "SOPInstanceUID": INSTANCE,
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": SERIES,
        "AccessionNumber": "A1",
        "PatientName": "Canary^Tweety",
        "PatientID": "CANARY-17",
        "PatientBirthDate": "19420502",
        "Modality": "DX",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "PresentationIntentType": "FOR PRESENTATION",
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "BurnedInAnnotation": "NO",
        "PhotometricInterpretation": "MONOCHROME2",
        "PresentationLUTShape": "INVERSE" if inverse else "IDENTITY",
        "SamplesPerPixel": 1,
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": 8 * pixels.itemsize,
        "BitsStored": bits,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
    }
    if bits > 8:
        centre = 0 if pixels.dtype.kind == "i" else 2 ** (bits - 1)
        defaults |= {"WindowCenter": centre, "WindowWidth": 2**bits, "VOILUTFunction": "LINEAR"}
    dataset = Dataset()
    for keyword, value in (defaults | elements).items():
        if value is not None:
            setattr(dataset, keyword, value)
    if "BitsStored" in dataset and "HighBit" not in dataset:
        dataset.HighBit = dataset.BitsStored - 1
    if "PixelData" not in elements:
        dataset.PixelData = _even(pixels.tobytes())
        dataset["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    return dataset


def encode(dataset: Dataset, transfer_syntax: str = ExplicitVRLittleEndian) -> bytes:
    """Return a Part 10 file in a native or deflated transfer syntax; `dataset` is not changed."""
    return _write(dataset, transfer_syntax)


def compressed_dataset(dataset: Dataset, transfer_syntax: str, error: int = 0) -> Dataset:
    """Return a copy compressed by pydicom's encoders: RLE, JPEG-LS (near-lossless with `error`) or JPEG 2000."""
    copy = Dataset.from_json(dataset.to_json())
    copy.file_meta = FileMetaDataset()
    copy.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    options = {"jls_error": error} if error else {}
    plugin = _ENCODERS[transfer_syntax]
    copy.compress(transfer_syntax, encoding_plugin=plugin, generate_instance_uid=False, **options)
    return copy


def compressed(dataset: Dataset, transfer_syntax: str, error: int = 0) -> bytes:
    """Return the Part 10 file of `compressed_dataset`."""
    return _write(compressed_dataset(dataset, transfer_syntax, error), transfer_syntax)


def jpeg_baseline(pixels: np.ndarray, **elements: Any) -> bytes:
    """Return a Part 10 file with [H, W] uint8 pixels compressed by Pillow's JPEG encoder."""
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95)
    dataset = chest(pixels, **elements)
    dataset.PixelData = encapsulate([stream.getvalue()])
    dataset["PixelData"].is_undefined_length = True
    return _write(dataset, JPEGBaseline8Bit)


def dicom_bytes(pixels: np.ndarray, **elements: Any) -> bytes:
    """Return the file of `chest(pixels, **elements)` in Explicit VR Little Endian."""
    return encode(chest(pixels, **elements))


def _bits(pixels: np.ndarray) -> int:
    fits = pixels.dtype == np.uint16 and (pixels.size == 0 or int(pixels.max()) < 4096)
    return 12 if fits else 8 * pixels.itemsize


def _even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)


def _write(dataset: Dataset, transfer_syntax: str) -> bytes:
    copy = Dataset(dataset)
    copy.file_meta = FileMetaDataset()
    copy.file_meta.TransferSyntaxUID = transfer_syntax
    copy.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID") or "1.2"
    copy.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID") or "1.2"
    if transfer_syntax == ExplicitVRBigEndian and "PixelData" in copy and dataset.get("BitsAllocated") == 16:
        copy.PixelData = np.frombuffer(copy.PixelData, "<u2").astype(">u2").tobytes()
    buffer = BytesIO()
    dcmwrite(buffer, copy, enforce_file_format=True)
    return buffer.getvalue()
