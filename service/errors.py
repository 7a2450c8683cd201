"""Errors of the service, as one tree.

TriageError
├─ InputError
│  ├─ MalformedDicom
│  ├─ UnsupportedEncoding
│  ├─ TooLarge
│  ├─ UploadIdle
│  ├─ Conflict
│  ├─ DecodeTimeout
│  └─ UnsuitableImage
├─ InvalidRequest
├─ Unauthenticated
├─ Forbidden
├─ NotFound
├─ NotAcceptable
├─ RateLimited
├─ Overloaded
├─ StorageFull
├─ InferenceFailed
└─ StartupError
   ├─ ArtefactError
   └─ ConfigurationError

A message names the tag and keyword, what was expected and what kind of value was there. Of the values of a data set it
contains none but terms from lists, such as CT or HAND. The table in `service/http/problems.py` gives the HTTP status of
each leaf.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class TriageError(Exception):
    """Root of the tree.

    Parameters
    ----------
    message
        What is wrong and what is expected, for people; without values of a data set but terms from a list.
    code
        Stable code in snake_case; by default the code of the class.

    Attributes
    ----------
    sop_instance_uid, sop_class_uid
        UIDs of the instance that failed, empty if unknown. The log contains their hashes, DICOM responses the UIDs.
    """

    code = "internal_error"
    sop_instance_uid = ""
    sop_class_uid = ""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code

    def __reduce__(self) -> tuple[type["TriageError"], tuple[str, str], dict[str, object]]:
        """Pickle with all attributes: errors of a decoder process are raised again in the service."""
        return type(self), (self.message, self.code), vars(self)


@contextmanager
def about(sop_instance_uid: str, sop_class_uid: str = "") -> Iterator[None]:
    """Set the UIDs of the instance on an error that is raised inside, unless it has some."""
    try:
        yield
    except TriageError as error:
        error.sop_instance_uid = error.sop_instance_uid or sop_instance_uid
        error.sop_class_uid = error.sop_class_uid or sop_class_uid
        raise


# Errors of the file or body that was sent


class InputError(TriageError):
    """The input is at fault; sending it again unchanged does not help."""

    code = "invalid_input"


class MalformedDicom(InputError):
    """The file is not DICOM, is truncated, has no pixel data or exceeds a bound of the reader."""

    code = "malformed_dicom"


class UnsupportedEncoding(InputError):
    """The service does not support the transfer syntax or media type."""

    code = "unsupported_encoding"


class TooLarge(InputError):
    """The input has more bytes or pixels than the limits allow."""

    code = "too_large"


class UploadIdle(InputError):
    """The head or the body did not arrive within the time limits; the service has stopped reading it."""

    code = "upload_idle"


class Conflict(InputError):
    """The instance contradicts one that is stored, or the study in the URL."""

    code = "conflict"


class DecodeTimeout(InputError):
    """The pixel data were not decoded within the time limit; the decoder process has been replaced."""

    code = "decode_timeout"


@dataclass(frozen=True)
class Reason:
    """One reason why an image is unsuitable: a stable code and a sentence."""

    code: str
    message: str


class UnsuitableImage(InputError):
    """The file is valid DICOM but not a frontal chest radiograph for presentation; `reasons` holds all reasons."""

    code = "unsuitable_image"

    def __init__(self, reasons: tuple[Reason, ...]) -> None:
        super().__init__(". ".join(reason.message for reason in reasons))
        self.reasons = reasons

    def __reduce__(  # type: ignore[override]
        self,
    ) -> tuple[type["UnsuitableImage"], tuple[tuple[Reason, ...]], dict[str, object]]:
        return type(self), (self.reasons,), vars(self)


def may_succeed_later(error: TriageError) -> bool:
    """Whether the same file may be processed at another time, although decoding it failed now."""
    return isinstance(error, DecodeTimeout) or error.code == "decoder_failed"


# Errors of the request


class InvalidRequest(TriageError):
    """A query parameter or the body is invalid."""

    code = "invalid_request"


class Unauthenticated(TriageError):
    """The request has no API key, or an unknown or revoked one."""

    code = "unauthenticated"


class Forbidden(TriageError):
    """The key lacks the scope that the route requires, or a browser sent the request for another site's page."""

    code = "forbidden"


class NotFound(TriageError):
    """The record, object or route does not exist."""

    code = "not_found"


class NotAcceptable(TriageError):
    """The resource has no representation in a media type that the client accepts."""

    code = "not_acceptable"


# The service cannot do it now


class RateLimited(TriageError):
    """One client sent too many requests; it may send the next after `retry_after_s` seconds."""

    code = "rate_limited"
    retry_after_s = 1


class Overloaded(TriageError):
    """The service has no free place or is not ready; the sender keeps the instance and tries again."""

    code = "overloaded"
    retry_after_s = 5


class StorageFull(TriageError):
    """The disk or database cannot be written, so the instance is not acknowledged."""

    code = "storage_full"


class InferenceFailed(TriageError):
    """The network failed, or returned values that are not probabilities."""

    code = "inference_failed"


# Errors at start-up: one line on standard error, exit status 2


class StartupError(TriageError):
    """The service cannot start."""

    code = "startup_failed"


class ArtefactError(StartupError):
    """The ONNX file is missing or invalid, has another SHA-256 than configured, or fails the golden self-test."""

    code = "artefact_invalid"


class ConfigurationError(StartupError):
    """A setting or command line option is unknown or invalid, or what it names cannot be used."""

    code = "configuration_invalid"
