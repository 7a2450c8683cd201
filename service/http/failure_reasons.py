"""Why an instance was not stored, as DICOM numbers it: the one table from the tree of errors to failure reasons.

STOW-RS sends them in decimal, as Failure Reason (0008,1197); as statuses of C-STORE they are the same numbers.
"""

from service import errors
from service.errors import TriageError, UnsuitableImage

PROCESSING_FAILURE = 0x0110  # 272, PS3.7 C.5.1
DUPLICATE_INSTANCE = 0x0111  # 273, PS3.7 C.5.2: the UID names other pixels already
CLASS_NOT_SUPPORTED = 0x0122  # 290, PS3.7 C.5.6
OUT_OF_RESOURCES = 0xA700  # 42752, this and those below: PS3.18 I.2.2, PS3.4 B.2.3
DOES_NOT_MATCH = 0xA900  # 43264: no frontal chest radiograph for presentation, or of another study
CANNOT_UNDERSTAND = 0xC000  # 49152
SYNTAX_NOT_SUPPORTED = 0xC122  # 49442

TABLE: dict[type[TriageError], int] = {
    errors.MalformedDicom: CANNOT_UNDERSTAND,
    errors.InvalidRequest: CANNOT_UNDERSTAND,
    errors.UploadIdle: CANNOT_UNDERSTAND,
    errors.UnsupportedEncoding: SYNTAX_NOT_SUPPORTED,
    errors.UnsuitableImage: DOES_NOT_MATCH,
    errors.Conflict: DUPLICATE_INSTANCE,
    errors.TooLarge: OUT_OF_RESOURCES,
    errors.Overloaded: OUT_OF_RESOURCES,
    errors.RateLimited: OUT_OF_RESOURCES,
    errors.StorageFull: OUT_OF_RESOURCES,
    errors.DecodeTimeout: PROCESSING_FAILURE,
    errors.InferenceFailed: PROCESSING_FAILURE,
}
# Codes that say more than their class does: the sender has the wrong kind of object, not a bad one.
BY_CODE = {
    "modality_unsuitable": CLASS_NOT_SUPPORTED,
    "pixel_data_missing": CLASS_NOT_SUPPORTED,
    "study_mismatch": DOES_NOT_MATCH,
    "unsupported_media_type": CANNOT_UNDERSTAND,
}


def reason(error: Exception) -> int:
    """Number a failure; one that is not ours is a processing failure."""
    if not isinstance(error, TriageError):
        return PROCESSING_FAILURE
    gate = error.reasons if isinstance(error, UnsuitableImage) else ()
    for code in (error.code, *(one.code for one in gate)):
        if code in BY_CODE:
            return BY_CODE[code]
    return next((TABLE[kind] for kind in type(error).__mro__ if kind in TABLE), PROCESSING_FAILURE)
