"""What a site changes in the rules of the gate."""

from dataclasses import dataclass
from functools import lru_cache

from service.dicom.vocabulary import Meaning, Vocabulary
from service.dicom.words import SHIPPED


@dataclass(frozen=True)
class Policy:
    """Words and limits of a site; small, as it is sent to a decoder process with every file.

    Attributes
    ----------
    words
        Words with their meanings, in place of those of `service.dicom.words`.
    minimum_age
        Age in years below which patients are refused; None refuses nobody.
    """

    words: tuple[tuple[Meaning, str], ...] = ()
    minimum_age: int | None = None

    @property
    def vocabulary(self) -> Vocabulary:
        """The words of the table and of the site."""
        return _vocabulary(self.words)


@lru_cache(maxsize=1)
def _vocabulary(words: tuple[tuple[Meaning, str], ...]) -> Vocabulary:
    return SHIPPED.updated(Vocabulary.of(words)) if words else SHIPPED
