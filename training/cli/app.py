"""The command `agcnn`: evaluate, export, typical; train is in `training.cli.train`, check and phantom in `.data`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from training.cli.data import CACHE_HELP, CacheFolder, Data, check, phantom
from training.cli.train import train
from training.errors import one_line

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # the boxes of rich cut long words such as the choices of --backbone
    help="Train AG-CNN on chest radiographs, evaluate it, and export the artefact that the service loads. "
    "Research use only, not a medical device.",
)


app.command(short_help="Train a network.")(train)


@app.command(short_help="Calibrate and score a trained network.")
def evaluate(  # noqa: PLR0913 - options
    data: Data,
    folds: Annotated[
        list[Path],
        typer.Option("--fold", metavar="<path>", help="Run folder of one fold; repeat the option for every fold."),
    ],
    run: Annotated[
        Path | None,
        typer.Option(help="Run folder to score on the test list; without this option, only the folds are scored."),
    ] = None,
    collection: Annotated[
        str,
        typer.Option(help="Collection to calibrate on and to score separately, too; by default all images."),
    ] = "",
    compare: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="<path>",
            help="CSV table of another model's predictions on the test list, with a column `image` and one for each "
            "finding; may be repeated.",
        ),
    ] = None,
    devices: Annotated[int, typer.Option(min=1, help="Number of processes that predict, one per GPU.")] = 1,
    cache: CacheFolder = None,
) -> None:
    """Calibrate on the held-out images of the folds, then score a run on the test list.

    The run folder gets metrics.json, calibration.json, card.json and report.html.
    """
    from training.report import evaluate as evaluation
    from training.report.summary import summary_lines

    with one_line():
        cache = cache or folds[0].parent / "cache"
        plan = evaluation.Evaluation(tuple(folds), data, cache, collection, tuple(compare or ()), devices)
        metrics = evaluation.evaluate(run, plan) if run else evaluation.cross_validate(plan)
        for line in summary_lines(metrics) if metrics else ():  # empty in all processes but the first
            typer.echo(line)


@app.command(short_help="Write the artefact, an ONNX file.")
def export(
    run: Annotated[Path, typer.Option(help="Run folder that has been evaluated.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="ONNX file to write.")],
    cache: CacheFolder = None,
) -> None:
    """Write the artefact, provided that ONNX Runtime and torch agree on 64 radiographs.

    The radiographs are those of val, or of train and val if val has fewer.
    """
    from training.data.sources import canvases
    from training.export import export as artefact
    from training.fit import checkpoint
    from training.fit.lineage import require_trained
    from training.report import evaluate as evaluation

    with one_line():
        require_trained(run)
        network, _ = checkpoint.load(run)
        size, cache = network.config.canvas_size, cache or run.parent / "cache"
        images = canvases(data, "val", size, cache)
        if len(images) < artefact.MIN_IMAGES:
            images = canvases(data, "train+val", size, cache)
        card = checkpoint.read_json(run / evaluation.CARD)
        report = artefact.export(
            network, evaluation.load_calibration(run), card, images.first(artefact.MIN_IMAGES), out
        )
        typer.echo(
            f"{out}: {report.size / 1e6:.1f} MB; ONNX Runtime and torch differ by at most {report.difference:.1e} in "
            f"probability and {report.box_difference:.1e} pixels in a box"
        )


@app.command(short_help="Add the check for atypical images to an artefact.")
def typical(
    artefact: Annotated[Path, typer.Option(help="ONNX file; only its card is changed, not the network.")],
    data: Data,
    also: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="<path>",
            help="Another folder of data, on whose test list false alarms are counted; may be repeated.",
        ),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help=CACHE_HELP, show_default="cache/ in the folder of the artefact")
    ] = None,
) -> None:
    """Add statistics of typical radiographs to an artefact, so that the service can flag images unlike them.

    The statistics are computed on train and val; the rate of false alarms is measured on the test list.
    """
    from training.export import typicality

    with one_line():
        entry = typicality.add_typicality(artefact, data, also or (), cache or artefact.parent / "cache")
        typer.echo(f"{artefact}: typicality fitted on {entry['images']} images of {entry['source']}")
        for row in entry["false_alarms"]:
            low, high = row["interval"]
            typer.echo(f"flagged of {row['source']}, {row['images']} images: {row['value']:.1%} ({low:.1%}-{high:.1%})")


app.command(short_help="Check a folder of images before training.")(check)
app.command(short_help="Draw synthetic radiographs.")(phantom)


def main() -> None:
    """Run the command line."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when ONNX Runtime is imported, which else reports usage data
    app()
