"""What became of one file."""

from dataclasses import dataclass

from service.errors import InferenceFailed, Overloaded
from service.storage.record import Record

SOURCE_UNAVAILABLE = "source_unavailable"


@dataclass(frozen=True)
class Outcome:
    """A file, and its record or the error that took its place."""

    reference: str
    record: Record | None = None
    error: Exception | None = None

    @property
    def is_final(self) -> bool:
        """Whether it is the file's own: not the fault of a process, the network or the storage that it came from."""
        return not isinstance(self.error, Overloaded | InferenceFailed)

    @property
    def stops(self) -> Overloaded | None:
        """The error of a source that no longer answers, for which there is no sense in asking for other files."""
        if isinstance(self.error, Overloaded) and self.error.code == SOURCE_UNAVAILABLE:
            return self.error
        return None
