"""The radiograph that derived objects refer to, with common faults of its header mended.

Patient and study are the source's, so that an archive files the objects beside it. What the standard's form of a value
can be recovered from is recovered; what cannot be read at all is empty where the attribute must be there, and left out
elsewhere. Text that is too long stays as it is: the archive has it so.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from pydicom import Dataset
from pydicom.uid import ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation

from service.objects.header import UID, mended, numbers, put, values, word

# PS3.3 C.7.1.1, C.7.2.1, of type 2: empty where unknown
_REQUIRED = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber"),
)
# PS3.3 C.7.1.1, C.7.1.3, C.7.2.1, C.7.2.2, C.7.2.3, of type 3 or by condition, but for what animals have
_OPTIONAL = (
    *("ReferencedPatientSequence", "IssuerOfPatientID", "TypeOfPatientID", "IssuerOfPatientIDQualifiersSequence"),
    *("PatientBirthTime", "QualityControlSubject", "OtherPatientNames", "OtherPatientIDsSequence"),
    *("EthnicGroupCodeSequence", "EthnicGroup", "PatientComments", "PatientIdentityRemoved", "DeidentificationMethod"),
    *("DeidentificationMethodCodeSequence", "ClinicalTrialSponsorName", "ClinicalTrialProtocolID"),
    *("ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName", "ClinicalTrialSubjectID"),
    *("ClinicalTrialSubjectReadingID", "ClinicalTrialTimePointID", "ClinicalTrialTimePointDescription"),
    *("IssuerOfAccessionNumberSequence", "ReferringPhysicianIdentificationSequence", "StudyDescription"),
    *("ProcedureCodeSequence", "PhysiciansOfRecord", "NameOfPhysiciansReadingStudy", "ReferencedStudySequence"),
    *("AdmittingDiagnosesDescription", "AdmittingDiagnosesCodeSequence", "PatientAge", "PatientSize", "PatientWeight"),
    *("MedicalAlerts", "Allergies", "Occupation", "SmokingStatus", "AdditionalPatientHistory", "PregnancyStatus"),
    *("LastMenstrualDate", "ReasonForVisit", "AdmissionID", "IssuerOfAdmissionIDSequence", "ServiceEpisodeID"),
    *("ServiceEpisodeDescription", "IssuerOfServiceEpisodeIDSequence", "PatientState", "TimezoneOffsetFromUTC"),
)
_LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
_PLAUSIBLE = 10  # aspects beyond are errors of the writer
_IN_FILE, _STORAGE = "MediaStorageSOPClassUID", "1.2.840.10008.5.1.4.1.1."  # PS3.4 B.5
_DIRECTIONS = re.compile(r"(?!.*(AP|PA|LR|RL|HF|FH))[APRLHF]{1,3}")  # PS3.3 C.7.6.1.1.1


@dataclass(frozen=True, eq=False)
class Source:
    """A radiograph as the objects that are derived from it see it.

    Attributes
    ----------
    header
        Patient, study, UIDs, and size, as a single-frame image that highdicom knows how to refer to.
    sop_class_uid
        The radiograph's true one: highdicom knows some that the gate lets pass not at all.
    image
        The data set as it was sent.
    """

    header: Dataset
    sop_class_uid: str
    image: Dataset

    @property
    def loss(self) -> Dataset:
        """What is said of lossy compression; empty where there was none."""
        return _part(self.header, _LOSSY)

    @property
    def study(self) -> Dataset:
        """The patient and study modules alone."""
        return _part(self.header, (*_REQUIRED, *_OPTIONAL))


def source_of(image: Dataset) -> Source:
    """Mend the header of a radiograph that the gate has accepted."""
    header = Dataset()
    for keyword in (*_REQUIRED, *_OPTIONAL):
        told = mended(image, keyword)
        if told not in (None, "", []):
            put(header, keyword, told)
        elif keyword in _REQUIRED:
            put(header, keyword, None)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "Modality"):
        put(header, keyword, str(image[keyword].value).strip(" \0"))
    if word(image, _LOSSY[0]) == "01":  # PS3.3 C.7.6.1.1.5: once lossy, all that is made of it is
        for keyword in _LOSSY:
            if (told := mended(image, keyword)) is not None:
                put(header, keyword, told)
    header.Rows, header.Columns, header.SamplesPerPixel = int(image.Rows), int(image.Columns), 1
    header.SOPClassUID = DigitalXRayImageStorageForPresentation
    return Source(header, _sop_class(image), image)


def orientation(image: Dataset) -> list[str]:
    """Patient Orientation of the rows and of the columns; empty where it is not said as PS3.3 C.7.6.1.1.1 has it."""
    stated = [str(value).strip().upper() for value in values(image, "PatientOrientation")]
    return stated if len(stated) == 2 and all(map(_DIRECTIONS.fullmatch, stated)) else []


def spacing(image: Dataset, keyword: str) -> tuple[float, float] | None:
    """(vertical, horizontal) mm of an attribute such as `PixelSpacing`; None where one is missing or is no length."""
    pair = numbers(image, keyword)
    return (pair[0], pair[1]) if len(pair) == 2 and min(pair) > 0 else None


def aspect(image: Dataset) -> tuple[int, int] | None:
    """(vertical, horizontal) size of a pixel in whole numbers, PS3.3 C.7.6.3.1.7; None where it is square or unsaid."""
    for keyword in ("PixelAspectRatio", "ImagerPixelSpacing", "PixelSpacing"):
        pair = spacing(image, keyword)
        if pair and 1 / _PLAUSIBLE <= pair[0] / pair[1] <= _PLAUSIBLE:
            ratio = Fraction(pair[0] / pair[1]).limit_denominator(1000)
            return None if ratio == 1 else (ratio.numerator, ratio.denominator)
    return None


def _part(header: Dataset, keywords: tuple[str, ...]) -> Dataset:
    part = Dataset()
    for keyword in keywords:
        if keyword in header:
            part[keyword] = header[keyword]
    return part


def _sop_class(image: Dataset) -> str:
    """As the data set says; else as its file says, if that is a class of the standard; else as the modality has it."""
    for stated, root in ((values(image, "SOPClassUID"), ""), (values(image.file_meta, _IN_FILE), _STORAGE)):
        if len(stated) == 1 and UID.fullmatch(str(stated[0])) and str(stated[0]).startswith(root):
            return str(stated[0])
    digital = str(image.Modality).strip().upper() == "DX"
    return DigitalXRayImageStorageForPresentation if digital else ComputedRadiographyImageStorage
