"""A file of results, one a line, which is itself the record of what is done: JSON lines or a CSV table."""

import csv
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from service.artefact.file import Artefact
from service.cli.formats import BETWEEN, Item, append, cells, codes, columns, csv_line, json_line
from service.cli.results import Results, other_results, require_same_artefact, reserved, writing
from service.errors import ConfigurationError

_JSON_START = b'{"filename": "'  # of every line that `json.dumps` makes of a result


@dataclass(frozen=True)
class _Row:
    """File, codes of its refusal, digest of the artefact, and the position in the output after the row."""

    filename: str
    code: str
    artefact_sha256: str
    end: int


@contextmanager
def line_file(path: Path, form: Literal["json", "csv"], artefact: Artefact) -> Iterator[Results]:
    """Open a file that may have results of an earlier run; new ones are appended, each with one write.

    A last line that is not whole, as a killed run leaves it, is removed.

    Raises
    ------
    ConfigurationError
        The file cannot be written, or another run writes to it. `other_results`: it has results of another artefact or
        in another form; it is not changed.
    """
    labels = artefact.card.labels
    head = csv_line(columns(labels)).encode() if form == "csv" else b""
    with reserved(path, os.O_RDWR | os.O_CREAT) as descriptor:
        known, end = {}, 0
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            for row in _csv_rows(path, file, head) if form == "csv" else _json_rows(path, file):
                require_same_artefact(path, row.artefact_sha256, artefact.sha256)
                known[row.filename] = row.code
                end = row.end
        with writing(path):
            os.ftruncate(descriptor, end)
            os.lseek(descriptor, end, os.SEEK_SET)
            if not end:
                append(descriptor, head)

        def write(item: Item) -> None:
            line = json_line(item) if form == "json" else csv_line(cells(item, len(labels)))
            with writing(path):
                append(descriptor, line.encode())

        yield Results(write, known)
        with writing(path):
            os.fsync(descriptor)


def _json_rows(path: Path, file: BinaryIO) -> Iterator[_Row]:
    _check_beginning(path, file, _JSON_START)
    file.seek(0)
    lines = _WholeLines(file)
    for line in lines:
        try:
            item = json.loads(line)
            yield _Row(item["filename"], BETWEEN.join(codes(item)), item["artefact_sha256"], lines.end)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise _foreign(path, lines.count) from None


def _csv_rows(path: Path, file: BinaryIO, head: bytes) -> Iterator[_Row]:
    """Read the rows below the head; a row may have several lines, as the name of a file may."""
    _check_beginning(path, file, head)
    file.seek(0)
    lines = _WholeLines(file)
    try:
        for number, row in enumerate(csv.reader(lines, strict=True)):
            if len(row) != len(next(csv.reader([head.decode()]))):
                raise _foreign(path, lines.count)
            if number:
                yield _Row(row[0], row[2], row[-1], lines.end)
    except UnicodeDecodeError:
        raise _foreign(path, lines.count) from None
    except csv.Error:
        if not lines.is_exhausted:  # else the last row is cut within quotation marks
            raise _foreign(path, lines.count) from None


class _WholeLines:
    """The lines of a file that have an end.

    Attributes
    ----------
    count, end
        Number of lines read, and the position after them.
    is_exhausted
        Whether there is no further one.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.count = self.end = 0
        self.is_exhausted = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline()
        if not line.endswith(b"\n"):
            self.is_exhausted = True
            raise StopIteration
        self.count += 1
        self.end += len(line)
        return line.decode()


def _check_beginning(path: Path, file: BinaryIO, beginning: bytes) -> None:
    """Refuse a file that is not empty and begins otherwise, so that nothing else is ever cut."""
    if not beginning.startswith(file.read(len(beginning))):
        raise _foreign(path, 1)


def _foreign(path: Path, line: int) -> ConfigurationError:
    return other_results(f"{path}, line {line}: not a result in this form and with the labels of this artefact")
