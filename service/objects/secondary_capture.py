"""The overlay as a Secondary Capture, which any viewer can show."""

import numpy as np
import numpy.typing as npt
from highdicom import sc
from pydicom import Dataset
from pydicom.valuerep import format_number_as_ds

from service.dicom.geometry import geometry
from service.objects.derived import even, file, identity, reference, remarks
from service.objects.drawing import attention
from service.objects.kinds import Kind
from service.objects.overlay import Options, overlay
from service.objects.source import Source
from service.storage.record import Record


def secondary_capture(record: Record, source: Source, view: npt.NDArray[np.uint8]) -> bytes:
    """Render a DICOM Secondary Capture file in RGB; the legend and the notice are rows below the radiograph.

    Parameters
    ----------
    view
        [H, W] uint8, display values of the source, 0 black.
    """
    shown = attention(record)
    picture = overlay(view, shown.heat, shown.box, Options(caption=shown.caption), record.prediction.content)
    header = source.header
    image = sc.SCImage(
        pixel_array=np.zeros((1, 1, 3), np.uint8),  # highdicom copies it several times
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=header.StudyInstanceUID,
        patient_orientation=("L", "F"),
        **identity(record, Kind.SECONDARY_CAPTURE),
    )
    image.Columns, image.Rows = picture.size
    image.PixelData = even(picture.tobytes())
    image.update(source.study)
    image.update(source.loss)
    image.BodyPartExamined = "CHEST"
    image.ConversionType = "WSD"  # workstation, PS3.3 C.8.6.1
    image.ImageType = ["DERIVED", "SECONDARY"]
    image.BurnedInAnnotation = "YES"
    image.DerivationDescription = "Attention of the network drawn over the radiograph, not an outline of disease"
    image.SourceImageSequence = [reference(source)]
    image.ImageComments = "\n".join(remarks(record))
    _set_geometry(image, source)
    return file(image, record, source)


def _set_geometry(image: Dataset, source: Source) -> None:
    """Set the orientation, and the spacing in the patient or, where that is unknown, the aspect.

    A Secondary Capture has no attribute for the spacing at the detector, PS3.3 C.8.6.2.
    """
    grid = geometry(source.image)
    image.PatientOrientation = list(grid.orientation or ())
    if grid.spacing and grid.spacing_from == "PixelSpacing":
        image.PixelSpacing = [format_number_as_ds(value) for value in grid.spacing]
    elif grid.ratio != (1, 1):
        image.PixelAspectRatio = list(grid.ratio)
