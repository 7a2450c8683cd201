"""The command `agcnn compare`, which needs no images."""

from pathlib import Path
from typing import Annotated

import typer

from training.cli.choices import BranchName
from training.errors import TrainingError, one_line


def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Evaluated run folders; that of the baseline comes first.")
    ],
    branch: Annotated[BranchName, typer.Option(help="Branch that is compared.")] = "fusion",
    collection: Annotated[str, typer.Option(help="Collection within which is compared; by default all images.")] = "",
    out: Annotated[Path | None, typer.Option(help="Markdown file to write the tables to.")] = None,
) -> None:
    """Compare evaluated runs on the same test images: systems and seeds in one table, paired by patient.

    Runs whose configurations differ in the seed alone are one system, of which the mean and the spread are given. The
    runs must have been scored on the same test images.
    """
    from training.evaluation import systems
    from training.report import compared_runs, compared_table

    with one_line():
        grouped, descriptions = compared_runs.group(runs)
        compared = systems.compare(grouped, branch, collection)
        split = f"test, collection {collection}" if collection else "test"
        text = compared_table.document(compared, descriptions, split, branch)
        typer.echo(text)
        if out:
            write(out, text)


def write(path: Path, text: str) -> None:
    """Write a text file.

    Raises
    ------
    TrainingError
        It cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise TrainingError(f"{path}: {error.strerror}") from error
