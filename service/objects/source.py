"""The radiograph that derived objects refer to, with common faults of its header corrected.

Patient and study are the source's, so that an archive files the objects beside it. Values are taken over in the
standard's form where that can be recovered. A value that cannot be read is empty where the attribute is required, and
left out elsewhere. Text that is too long stays as it is, because the archive holds it so.
"""

from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation

from service.dicom.elements import UID
from service.dicom.header import first_word, normalised, readable_values, set_element

# Type 2 in PS3.3 C.7.1.1, C.7.2.1: empty where unknown
_REQUIRED = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber"),
)
# Type 3 or conditional in PS3.3 C.7.1.1, C.7.1.3, C.7.2.1, C.7.2.2, C.7.2.3, without those for animals
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
_STORAGE_CLASSES = "1.2.840.10008.5.1.4.1.1."  # PS3.4 B.5


@dataclass(frozen=True, eq=False)
class Source:
    """A radiograph from which objects are derived.

    Attributes
    ----------
    header
        Patient, study, UIDs and size, as a single-frame image that highdicom can refer to.
    sop_class_uid
        The radiograph's true SOP class: highdicom does not know every one that the gate accepts.
    image
        The data set of the file.
    requests
        Items of Request Attributes Sequence; none where one cannot be read.
    """

    header: Dataset
    sop_class_uid: str
    image: Dataset
    requests: tuple[Dataset, ...] = ()

    @property
    def loss(self) -> Dataset:
        """The attributes of lossy compression; empty where there was none."""
        return _part(self.header, _LOSSY)

    @property
    def study(self) -> Dataset:
        """The patient and study modules alone."""
        return _part(self.header, (*_REQUIRED, *_OPTIONAL))


def source_of(image: Dataset) -> Source:
    """Correct the header of a radiograph that the gate has accepted."""
    header = Dataset()
    for keyword in (*_REQUIRED, *_OPTIONAL):
        value = normalised(image, keyword)
        if value not in (None, "", []):
            set_element(header, keyword, value)
        elif keyword in _REQUIRED:
            set_element(header, keyword, None)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "Modality"):
        set_element(header, keyword, str(image[keyword].value).strip(" \0"))
    if first_word(image, "LossyImageCompression") == "01":  # PS3.3 C.7.6.1.1.5: it holds for all derived images, too
        for keyword in _LOSSY:
            if (value := normalised(image, keyword)) is not None:
                set_element(header, keyword, value)
    header.Rows, header.Columns, header.SamplesPerPixel = int(image.Rows), int(image.Columns), 1
    header.SOPClassUID = DigitalXRayImageStorageForPresentation
    return Source(header, _sop_class(image), image, tuple(normalised(image, "RequestAttributesSequence") or ()))


def _part(header: Dataset, keywords: tuple[str, ...]) -> Dataset:
    part = Dataset()
    for keyword in keywords:
        if keyword in header:
            part[keyword] = header[keyword]
    return part


def _sop_class(image: Dataset) -> str:
    """SOP class of the data set; else that of the file, if it is one of the standard; else that of the modality."""
    candidates = (
        (readable_values(image, "SOPClassUID"), ""),
        (readable_values(image.file_meta, "MediaStorageSOPClassUID"), _STORAGE_CLASSES),
    )
    for values, root in candidates:
        if len(values) == 1 and UID.fullmatch(str(values[0])) and str(values[0]).startswith(root):
            return str(values[0])
    digital = first_word(image, "Modality") == "DX"
    return DigitalXRayImageStorageForPresentation if digital else ComputedRadiographyImageStorage
