"""What became of one file."""

from dataclasses import dataclass

from service.errors import InferenceFailed, Overloaded, StorageFull
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
        """Whether it is the file's own: not the fault of a process, the network or a storage."""
        return not isinstance(self.error, Overloaded | InferenceFailed | StorageFull)

    @property
    def stops(self) -> Overloaded | StorageFull | None:
        """The error after which other files make no sense: the source no longer answers, or the storage is full."""
        match self.error:
            case Overloaded(code=code) if code == SOURCE_UNAVAILABLE:
                return self.error
            case StorageFull():
                return self.error
        return None
