"""`agcnn check` and `agcnn phantom`: the data before there is a network."""

from pathlib import Path
from typing import Annotated

import typer

from training.errors import one_line

Data = Annotated[
    Path,
    typer.Option(help="ChestX-ray14 in its published format, or labels.csv and images/ of one's own."),
]


def check(
    data: Data,
    workers: Annotated[int, typer.Option(min=1, help="Threads that read.")] = 2,
) -> None:
    """Say what a folder of data holds, and name every image that the service would refuse; exit status 2 if any."""
    from training.data.inventory import inventory, summary

    with one_line():
        found = inventory(data, workers)
    for line in summary(found.splits):
        typer.echo(line)
    for line in found.refused:
        typer.echo(f"agcnn: {line}", err=True)
    if found.refused:
        raise typer.Exit(2)


def phantom(  # noqa: PLR0913 - options
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("samples"),
    samples: Annotated[bool, typer.Option("--samples", help="The samples of the repository, nothing else.")] = False,
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same phantoms.")] = 0,
    size: Annotated[
        int | None, typer.Option(min=256, help="Side of a square, pixels.", show_default="1024 x 896")
    ] = None,
    findings: Annotated[str | None, typer.Option(help="Only these, with commas; all 14 where not given.")] = None,
    small: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the nodules that is 7 to 13 mm across, not 13 to 29.")
    ] = 0.0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw.")] = 1,
) -> None:
    """Write procedural chest radiographs as 12-bit DICOM, with labels.csv and boxes.csv: a folder to train on.

    The same command again goes on where it was interrupted, or adds to --count.
    """
    from model.labels import LABELS
    from training.phantom import cohort
    from training.phantom import samples as shipped

    with one_line():
        if samples:
            written = len(shipped.samples(out))
        else:
            shape, among = (size, size) if size else shipped.SHAPE, tuple(findings.split(",")) if findings else LABELS
            written = cohort.write(out, cohort.Cohort(seed, shape, among, small), count, workers)
    typer.echo(f"{out}: {written} phantoms")
