"""Errors that the user of the command line can correct: one line each, exit status 2."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer


class TrainingError(Exception):
    """A file, table or option is invalid; the message names it, with the expected and the actual value."""


@contextmanager
def one_line() -> Iterator[None]:
    """Turn a `TrainingError` into one line on stderr and exit status 2."""
    try:
        yield
    except TrainingError as error:
        typer.echo(f"agcnn: {error}", err=True)
        raise typer.Exit(2) from error
