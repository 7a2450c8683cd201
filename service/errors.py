"""Everything that can go wrong, as one tree.

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

A message names tag and keyword, what was wanted and what was got in kind; never a value that could identify a patient.
The HTTP status of each leaf stands in `service/http/problems.py`, in one table.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class TriageError(Exception):
    """Root of the tree.

    Parameters
    ----------
    message
        One sentence for a person, free of values from a data set.
    code
        Stable, snake_case; the class's own where none is given.

    Attributes
    ----------
    sop_instance_uid, sop_class_uid
        What it is about, where that is known: for the log, which hashes it, and for DICOM's answers, which name it.
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
        """Cross a process border (the decoder's worker) with everything kept."""
        return type(self), (self.message, self.code), vars(self)


@contextmanager
def about(sop_instance_uid: str, sop_class_uid: str = "") -> Iterator[None]:
    """Let an error that is raised inside know which instance it is about."""
    try:
        yield
    except TriageError as error:
        error.sop_instance_uid = error.sop_instance_uid or sop_instance_uid
        error.sop_class_uid = error.sop_class_uid or sop_class_uid
        raise


# What was sent...


class InputError(TriageError):
    """The sender can mend it."""

    code = "invalid_input"


class MalformedDicom(InputError):
    """Not DICOM, truncated, without pixel data, or over a bound of the reader."""

    code = "malformed_dicom"


class UnsupportedEncoding(InputError):
    """A transfer syntax or media type this service does not read."""

    code = "unsupported_encoding"


class TooLarge(InputError):
    """More bytes, or more pixels, than the limits allow."""

    code = "too_large"


class UploadIdle(InputError):
    """A body whose next part did not come within the time limit; its place is another's now."""

    code = "upload_idle"


class Conflict(InputError):
    """A SOP Instance UID that is known already, with other display values."""

    code = "conflict"


class DecodeTimeout(InputError):
    """Pixel data that did not decode within the time limit; the worker is replaced."""

    code = "decode_timeout"


@dataclass(frozen=True)
class Reason:
    """One reason of the gate: a stable code and a sentence."""

    code: str
    message: str


class UnsuitableImage(InputError):
    """Valid DICOM that is no frontal chest radiograph for presentation: every reason at once."""

    code = "unsuitable_image"

    def __init__(self, reasons: tuple[Reason, ...]) -> None:
        super().__init__("; ".join(reason.message for reason in reasons))
        self.reasons = reasons

    def __reduce__(  # type: ignore[override]
        self,
    ) -> tuple[type["UnsuitableImage"], tuple[tuple[Reason, ...]], dict[str, object]]:
        return type(self), (self.reasons,), vars(self)


# What was asked for...


class InvalidRequest(TriageError):
    """A query parameter or body that does not fit the interface."""

    code = "invalid_request"


class Unauthenticated(TriageError):
    """No key, or one that is unknown or revoked."""

    code = "unauthenticated"


class Forbidden(TriageError):
    """A key without the scope of the route, or a page of another site in a person's browser."""

    code = "forbidden"


class NotFound(TriageError):
    """No such record, or no such route."""

    code = "not_found"


class NotAcceptable(TriageError):
    """No representation of the kind the client accepts."""

    code = "not_acceptable"


# What the service cannot do now...


class RateLimited(TriageError):
    """One client asked too often; `retry_after_s` is when it may again."""

    code = "rate_limited"
    retry_after_s = 1


class Overloaded(TriageError):
    """The one admission control is full, or the service is not ready: the sender keeps the instance and tries again."""

    code = "overloaded"
    retry_after_s = 5


class StorageFull(TriageError):
    """Nothing can be written, so nothing can be acknowledged."""

    code = "storage_full"


class InferenceFailed(TriageError):
    """The network did not answer."""

    code = "inference_failed"


# At start-up only: one line, exit status 2...


class StartupError(TriageError):
    """The service does not start."""

    code = "startup_failed"


class ArtefactError(StartupError):
    """The ONNX file is missing, is not the one it should be, or does not prove itself."""

    code = "artefact_invalid"


class ConfigurationError(StartupError):
    """A setting that is unknown, out of range, or points nowhere."""

    code = "configuration_invalid"
