"""Words of free text that say which part of the body an image shows, and from which side."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

_MAX_LENGTH = 256  # characters of a text that are read; a description has 64, PS3.5 6.2 LO
_MAX_JOINED = 64  # letters of a word that may be several, written without spaces
_MIN_JOINED = 5  # letters of the word for a chest in such a word, so that no other word contains it by chance
_UNSPACED = (  # scripts that are written without spaces between words
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Myanmar, Khmer
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"  # Japanese, Chinese, Korean
)
_UNIT = re.compile(rf"[{_UNSPACED}]|[^\W\d_{_UNSPACED}]+|\d+|[+&]")
# Letters that have no decomposition in Unicode
_PLAIN_LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"})

Units = tuple[str, ...]


class Meaning(StrEnum):
    """What a word says."""

    CHEST = "chest"
    OTHER_PART = "other part"
    FRONTAL = "frontal view"
    LATERAL = "lateral view"
    OTHER_VIEW = "other view"
    SEVERAL = "several images"
    NEUTRAL = "neutral"
    UNKNOWN = "unknown"
    UNRECOGNISED = "unrecognised"


def units(text: str) -> Units:
    """Split text into what a vocabulary compares: words, numbers, and single characters of scripts without spaces.

    Case, accents, width of characters, punctuation and invisible characters make no difference.
    """
    decomposed = unicodedata.normalize("NFKD", text[:_MAX_LENGTH]).casefold().translate(_PLAIN_LETTERS)
    visible = (letter for letter in unicodedata.normalize("NFKD", decomposed) if not _is_mark(letter))
    return tuple(_UNIT.findall(unicodedata.normalize("NFC", "".join(visible))))


@dataclass(frozen=True)
class Vocabulary:
    """Words and phrases with their meanings.

    Attributes
    ----------
    entries
        Meanings by `units` of a word or phrase.
    longest
        Number of units in the longest entry.
    """

    entries: Mapping[Units, frozenset[Meaning]]
    longest: int

    @classmethod
    def of(cls, words: Iterable[tuple[Meaning, str]]) -> "Vocabulary":
        """Make a vocabulary of words with one meaning each; a word that occurs twice has both."""
        entries: dict[Units, frozenset[Meaning]] = {}
        for meaning, word in words:
            key = units(word)
            entries[key] = entries.get(key, frozenset()) | {meaning}
        return cls(entries, max(map(len, entries)))

    def updated(self, other: "Vocabulary") -> "Vocabulary":
        """Return this vocabulary with the entries of another one, which replace its own."""
        return Vocabulary({**self.entries, **other.entries}, max(self.longest, other.longest))

    def meanings(self, text: str) -> frozenset[Meaning]:
        """Return what the words of a text say; at each place the longest entry counts.

        Text without any word, such as `-`, is unrecognised; blank text says nothing.
        """
        sequence, position = units(text), 0
        if not sequence and text.strip():
            return frozenset({Meaning.UNRECOGNISED})
        meanings: set[Meaning] = set()
        while position < len(sequence):
            length = self._match(sequence, position)
            if length:
                meanings |= self.entries[sequence[position : position + length]]
            else:
                meanings |= self._joined(sequence[position])
            position += max(length, 1)
        return frozenset(meanings)

    def quotable(self, text: str) -> str:
        """Return the words of a text in capitals; nothing unless all are entries, so that it names no patient."""
        sequence, position = units(text), 0
        while length := self._match(sequence, position):
            position += length
        return " ".join(sequence).upper() if position == len(sequence) and len(text) <= _MAX_JOINED else ""

    def _match(self, sequence: Units, position: int) -> int:
        """Length of the longest entry at a position; 0 where there is none."""
        for length in range(min(self.longest, len(sequence) - position), 0, -1):
            if sequence[position : position + length] in self.entries:
                return length
        return 0

    def _joined(self, unit: str) -> frozenset[Meaning]:
        """Meanings of a word that consists of a word for a chest and others, as in `CHESTPA`."""
        pieces = self._pieces(unit) if len(unit) <= _MAX_JOINED else ()
        for piece in pieces:
            if len(piece) >= _MIN_JOINED and Meaning.CHEST in self.entries[(piece,)]:
                return frozenset().union(*(self.entries[(part,)] for part in pieces))
        return frozenset({Meaning.UNRECOGNISED})

    def _pieces(self, unit: str) -> Units:
        """Split a word completely into entries of at least two letters; empty where that is impossible."""
        splits: dict[int, Units] = {0: ()}
        for end in range(2, len(unit) + 1):
            for start in range(end - 1):  # the longest last piece first
                if start in splits and (unit[start:end],) in self.entries:
                    splits[end] = (*splits[start], unit[start:end])
                    break
        return splits.get(len(unit), ())


def _is_mark(letter: str) -> bool:
    return unicodedata.combining(letter) != 0 or unicodedata.category(letter) == "Cf"
