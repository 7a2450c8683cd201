"""The commands `agcnn check`, `agcnn pack` and `agcnn phantom`, which need no network."""

from pathlib import Path
from typing import Annotated

import typer

from training.errors import one_line

DATA_HELP = (
    "Folder of ChestX-ray14, CheXpert, MIMIC-CXR-JPG, PadChest or VinDr-CXR in its published format, or of your own "
    "labels.csv and images/."
)
Data = Annotated[Path, typer.Option(help=DATA_HELP)]
DataFolders = Annotated[
    list[Path],
    typer.Option("--data", metavar="<path>", help=f"{DATA_HELP} May be repeated: the folders are used together."),
]

CACHE_HELP = "Folder of decoded canvases, kept between runs."
CacheFolder = Annotated[Path | None, typer.Option(help=CACHE_HELP, show_default="cache/ beside the run folder")]


def check(
    data: Data,
    workers: Annotated[int, typer.Option(min=1, help="Number of threads that read images.")] = 2,
) -> None:
    """Name the format of a folder, count its images and findings, and name every image that the service would refuse.

    The exit status is 2 if it would refuse any.
    """
    from training.data.inventory import inventory, summary
    from training.data.sources import format_of

    with one_line():
        typer.echo(f"{data}: {format_of(data)}")
        contents = inventory(data, workers)
    for line in summary(contents.labels, contents.splits):
        typer.echo(line)
    for line in contents.refused:
        typer.echo(f"agcnn: {line}", err=True)
    if contents.refused:
        raise typer.Exit(2)


def pack(
    data: DataFolders,
    cache: Annotated[Path, typer.Option(help=f"{CACHE_HELP} Each folder of data has one of its own in it.")],
    canvas_size: Annotated[int, typer.Option(min=32, help="Side of the canvas in pixels, as in training.")] = 896,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of threads that read images.", show_default="one per processor")
    ] = None,
) -> None:
    """Decode all images of all splits into the cache, so that training finds them there.

    Repeat the command to continue after an interruption. Several of them that fill one cache share the work.
    """
    from training.data.sources import cache_of, pack, refuse_equal_names

    with one_line():
        refuse_equal_names(data)
        for folder in data:
            count = pack(folder, canvas_size, cache, workers)
            typer.echo(f"{cache_of(folder, cache)}: {count} canvases of {canvas_size} pixels")


def phantom(  # noqa: PLR0913 - options
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("samples"),
    samples: Annotated[
        bool,
        typer.Option("--samples", help="Write the files of the repository's samples/ instead; only --out applies."),
    ] = False,
    count: Annotated[int, typer.Option(min=1, help="Number of phantoms.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Random seed; equal seeds give equal phantoms.")] = 0,
    size: Annotated[
        int | None, typer.Option(min=256, help="Side of a square image in pixels.", show_default="1024 x 896")
    ] = None,
    findings: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="Findings to draw, with commas between them.", show_default="all 14"),
    ] = None,
    small: Annotated[
        float, typer.Option(min=0, max=1, help="Share of nodules with a diameter of 7 to 13 mm instead of 13 to 29.")
    ] = 0.0,
    workers: Annotated[int, typer.Option(min=1, help="Number of processes that draw.")] = 1,
) -> None:
    """Write synthetic chest radiographs as 12-bit DICOM, with labels.csv and boxes.csv: a folder to train on.

    Repeat the command to continue after an interruption, or with a larger --count to add phantoms.
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
