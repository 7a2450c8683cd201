"""What a person at the command line can mend: one line each, exit status 2."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer


class TrainingError(Exception):
    """A file, table or option that does not fit; the message says which, what was wanted and what was got."""


@contextmanager
def one_line() -> Iterator[None]:
    """Turn what a person can mend into one line on stderr and exit status 2."""
    try:
        yield
    except TrainingError as error:
        typer.echo(f"agcnn: {error}", err=True)
        raise typer.Exit(2) from error
