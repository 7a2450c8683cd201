"""A Parquet table of results: parts that are whole or absent, which become one file at the end."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.artefact.card import NOTICE
from service.artefact.file import Artefact
from service.cli.formats import BETWEEN, Item, columns, values
from service.cli.results import Results, other_results, require_same_artefact, reserved, writing
from service.errors import ConfigurationError

try:
    import pyarrow as pa
    from pyarrow import parquet
except ImportError:
    raise ConfigurationError("--parquet needs pyarrow: install the extra `parquet`") from None

ROWS = 1000  # in a part: at most as many results are lost if the process is killed
_TEXT, _TEXTS = pa.string(), pa.list_(pa.string())
_KINDS = {
    "filename": _TEXT,
    "status": pa.int32(),
    "code": _TEXTS,
    "detail": _TEXT,
    "priority": _TEXT,
    "reason": _TEXTS,
    "flags": _TEXTS,
    "artefact_sha256": _TEXT,
}


@contextmanager
def parquet_table(path: Path, artefact: Artefact) -> Iterator[Results]:
    """Open a table that may have results of an earlier run.

    Until all files are done, results are in the parts of a folder beside it, whose name ends in `.parts`.

    Raises
    ------
    ConfigurationError
        The table cannot be written, or another run writes to it. `other_results`: it has results of another artefact,
        or is something else; it is not changed.
    """
    folder, schema = path.with_name(f"{path.name}.parts"), _schema(artefact)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder}: cannot be created ({error.strerror})") from None
    with reserved(folder, os.O_RDONLY | os.O_DIRECTORY):
        try:
            known = _known(path, schema, artefact) if path.exists() else {}
            for part in _parts(folder):
                rows = _known(part, schema, artefact)
                if rows.keys() & known.keys():
                    part.unlink()  # the run that put it into the file was killed before it could do so
                known |= rows
            table = _Parts(folder, schema)
            try:
                yield Results(table.add, known)
            finally:
                table.keep()
            if parts := _parts(folder):
                _merge(([path] if path.exists() else []) + parts, folder / "whole", path)
                for part in parts:
                    part.unlink()
        finally:
            _remove_if_empty(folder)


class _Parts:
    """Rows on their way to a part."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._folder, self._schema = folder, schema
        self._labels = len(schema) - len(columns(()))
        self._rows: list[list[Any]] = []

    def add(self, item: Item) -> None:
        """Add a row, and write the part if it is complete."""
        self._rows.append(values(item, self._labels))
        if len(self._rows) == ROWS:
            self.keep()

    def keep(self) -> None:
        """Write the rows that are in no part yet."""
        if not self._rows:
            return
        number = 1 + max((int(part.stem) for part in _parts(self._folder)), default=0)
        columns = zip(*self._rows, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        target = self._folder / f"{number:06}.parquet"
        with _replacing(target, self._folder / "part", self._schema) as file:
            file.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows.clear()


def _schema(artefact: Artefact) -> pa.Schema:
    fields = [(name, _KINDS.get(name, pa.float64())) for name in columns(artefact.card.labels)]
    return pa.schema(fields, metadata={"notice": NOTICE, "artefact_sha256": artefact.sha256})


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))


def _known(path: Path, schema: pa.Schema, artefact: Artefact) -> dict[str, str]:
    """Return the codes of each file in a table."""
    known = {}
    try:
        with parquet.ParquetFile(path) as file:
            if not file.schema_arrow.equals(schema):
                raise other_results(f"{path} is not a table of results with the labels of this artefact")
            for batch in file.iter_batches(columns=["filename", "code", "artefact_sha256"]):
                for row in batch.to_pylist():
                    require_same_artefact(path, row["artefact_sha256"], artefact.sha256)
                    known[row["filename"]] = BETWEEN.join(row["code"])
    except (pa.ArrowException, OSError):
        raise other_results(f"{path} cannot be read as a Parquet table") from None
    return known


def _merge(tables: Sequence[Path], whole: Path, target: Path) -> None:
    """Put several tables into one file, a row group at a time."""
    with parquet.ParquetFile(tables[0]) as first:
        schema = first.schema_arrow
    with _replacing(target, whole, schema) as file:
        for path in tables:
            with parquet.ParquetFile(path) as table:
                for group in range(table.num_row_groups):
                    file.write_table(table.read_row_group(group))


@contextmanager
def _replacing(target: Path, temporary: Path, schema: pa.Schema) -> Iterator[parquet.ParquetWriter]:
    """Write a table which is on disk and whole when it gets its name."""
    with writing(target):
        with temporary.open("wb") as file:
            with parquet.ParquetWriter(file, schema) as writer:
                yield writer
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)


def _remove_if_empty(folder: Path) -> None:
    for name in ("part", "whole"):
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()
