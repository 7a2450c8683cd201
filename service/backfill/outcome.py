"""What became of one file."""

from dataclasses import dataclass

from service.errors import InferenceFailed, Overloaded, StartupError, StorageFull, TriageError
from service.storage.record import Record
from service.telemetry import describe, log

SOURCE_UNAVAILABLE, UNDELIVERED = "source_unavailable", "undelivered"


@dataclass(frozen=True)
class Outcome:
    """A file, and its record or the error that took its place."""

    reference: str
    record: Record | None = None
    error: Exception | None = None

    @property
    def is_final(self) -> bool:
        """Whether it is the file's own: not the fault of a process, the network, a storage, the settings or a bug."""
        if self.stops or isinstance(self.error, Overloaded | InferenceFailed):
            return False
        return isinstance(self.error, TriageError | None)

    @property
    def stops(self) -> TriageError | None:
        """The error after which other files make no sense, such as that of a source that no longer answers."""
        match self.error:
            case TriageError(code=code) if code in (SOURCE_UNAVAILABLE, UNDELIVERED):
                return self.error
            case StorageFull() | StartupError():
                return self.error
        return None

    @property
    def code(self) -> str:
        """The code of its error; empty if there is none."""
        if self.error is None:
            return ""
        return self.error.code if isinstance(self.error, TriageError) else "internal_error"


def log_without_row(outcome: Outcome) -> None:
    """Say in the log why a file has no row yet."""
    error = outcome.error
    details = describe(error) if error is not None and not isinstance(error, TriageError) else {}
    log().warning("a file has no row yet", code=outcome.code, **details)
