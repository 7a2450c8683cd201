"""The overlay as people see it, as a Secondary Capture: what any viewer can show."""

from io import BytesIO

import numpy as np
import numpy.typing as npt
from highdicom import sc
from PIL import Image
from pydicom import Dataset
from pydicom.valuerep import format_number_as_ds

from service.objects.derived import file, identity, reference, remarks
from service.objects.overlay import overlay_png
from service.objects.report import Report
from service.objects.source import Source, aspect, orientation, spacing

KIND = "secondary_capture"


def secondary_capture(report: Report, source: Source, view: npt.NDArray[np.uint8]) -> bytes:
    """Render a DICOM SC file in RGB; the notice is burned in.

    Parameters
    ----------
    view
        [H, W] uint8 display values of the source.
    """
    picture = overlay_png(view, report.heat_map, report.box, content=report.content)
    header = source.header
    image = sc.SCImage(
        pixel_array=np.asarray(Image.open(BytesIO(picture))),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=header.StudyInstanceUID,
        patient_orientation=("L", "F"),
        **identity(report, KIND, 9903, "overlay"),
    )
    image.update(source.study)
    image.update(source.loss)
    image.PatientOrientation = orientation(source.image)
    image.BodyPartExamined = "CHEST"
    image.ConversionType = "WSD"  # PS3.3 C.8.6.1: made by a workstation
    image.ImageType = ["DERIVED", "SECONDARY"]
    image.BurnedInAnnotation = "YES"
    image.DerivationDescription = "Attention of the network drawn over the radiograph, not an outline of disease"
    image.SourceImageSequence = [reference(source)]
    image.ImageComments = "\n".join(remarks(report))
    _shape(image, source)
    return file(image, report, source)


def _shape(image: Dataset, source: Source) -> None:
    """Lengths in the patient, or else the shape of a pixel: PS3.3 C.8.6.2 has no spacing at the detector."""
    in_patient, at_detector = (spacing(source.image, name) for name in ("PixelSpacing", "ImagerPixelSpacing"))
    # PS3.3 10.7.1.1: where both are the same, nothing was calibrated
    if in_patient and in_patient != at_detector:
        image.PixelSpacing = [format_number_as_ds(value) for value in in_patient]
    elif ratio := aspect(source.image):
        image.PixelAspectRatio = list(ratio)
