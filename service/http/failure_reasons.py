"""DICOM numbers of failures, the one table: Failure Reason (0008,1197) of STOW-RS and status of C-STORE.

The same number means the same in both: STOW-RS writes it in decimal, PS3.18 I.2.2; C-STORE returns it, PS3.4 B.2.3.
"""

from collections.abc import Iterable

from service import errors
from service.errors import StartupError, TriageError, UnsuitableImage

PROCESSING_FAILURE = 0x0110  # PS3.7 C.5.1
CLASS_NOT_SUPPORTED = 0x0122  # PS3.7 C.5.6
OUT_OF_RESOURCES = 0xA700  # the sender keeps the instance and sends it again; this and those below: PS3.4 table B.2-1
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
SYNTAX_NOT_SUPPORTED = 0xC122

BY_CLASS: dict[type[TriageError], int] = {
    errors.MalformedDicom: CANNOT_UNDERSTAND,
    errors.InvalidRequest: CANNOT_UNDERSTAND,
    errors.TooLarge: CANNOT_UNDERSTAND,  # not A700: the file would be sent for ever
    errors.Conflict: CANNOT_UNDERSTAND,  # not 0111 (duplicate): some senders would delete an image that is not stored
    errors.UnsupportedEncoding: SYNTAX_NOT_SUPPORTED,
    errors.UnsuitableImage: DOES_NOT_MATCH,
    errors.DecodeTimeout: PROCESSING_FAILURE,
    errors.InferenceFailed: PROCESSING_FAILURE,
    # Not the fault of the instance...
    errors.UploadIdle: OUT_OF_RESOURCES,
    errors.Overloaded: OUT_OF_RESOURCES,
    errors.RateLimited: OUT_OF_RESOURCES,
    errors.StorageFull: OUT_OF_RESOURCES,
    # ... but of a key, an address or a setting, which an administrator corrects.
    errors.Unauthenticated: OUT_OF_RESOURCES,
    errors.Forbidden: OUT_OF_RESOURCES,
    errors.NotFound: OUT_OF_RESOURCES,
    errors.NotAcceptable: OUT_OF_RESOURCES,
    errors.ArtefactError: OUT_OF_RESOURCES,
    errors.ConfigurationError: OUT_OF_RESOURCES,
}
BY_CODE = {  # codes that say more than their class
    "modality_unsuitable": CLASS_NOT_SUPPORTED,
    "pixel_data_missing": CLASS_NOT_SUPPORTED,
    "study_mismatch": DOES_NOT_MATCH,
    "instance_mismatch": DOES_NOT_MATCH,
    "unsupported_media_type": CANNOT_UNDERSTAND,
}


def reason(error: Exception) -> int:
    """Return the number of an error; of an unexpected one, that of a processing failure."""
    if not isinstance(error, TriageError):
        return PROCESSING_FAILURE
    reasons = error.reasons if isinstance(error, UnsuitableImage) else ()
    return _number(type(error), (error.code, *(item.code for item in reasons)))


def problem_type(kind: type[TriageError]) -> str:
    """Return the `type` of the problem details (RFC 9457) of an error class."""
    name = "not_ready" if issubclass(kind, StartupError) else kind.code
    return f"urn:agcnn-triage:problem:{name.replace('_', '-')}"


def problem_reason(type: object, codes: Iterable[str]) -> int | None:
    """Return the number for problem details.

    Parameters
    ----------
    type
        Member `type` of the problem details.
    codes
        Member `code`, and each `code` in `errors`.

    Returns
    -------
    int or None
        None for a `type` that is not of this service.
    """
    kind = _BY_TYPE.get(type) if isinstance(type, str) else None
    return None if kind is None else _number(kind, codes)


def _number(kind: type[TriageError], codes: Iterable[str]) -> int:
    number = next((BY_CODE[code] for code in codes if code in BY_CODE), None)
    if number is not None:
        return number
    return next((BY_CLASS[base] for base in kind.__mro__ if base in BY_CLASS), PROCESSING_FAILURE)


_BY_TYPE = {problem_type(kind): kind for kind in (*BY_CLASS, TriageError)}
