"""What Ctrl-C does to a training run."""

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import typer

STATUS = 130  # as shells report a program that SIGINT ended: 128 + 2


@contextmanager
def resumable(words: Sequence[str]) -> Iterator[None]:
    """Turn Ctrl-C into one line with the command that resumes the run, and exit status 130.

    Parameters
    ----------
    words
        Command line of the run, without the program's name.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        command = shlex.join(["agcnn", *words, *([] if "--resume" in words else ["--resume"])])
        if os.environ.get("LOCAL_RANK", "0") == "0":  # Fabric's other processes have another
            typer.echo(f"agcnn: interrupted; this command resumes the run after its last epoch:\n{command}", err=True)
        raise typer.Exit(STATUS) from interrupt
