"""The command `agcnn`: evaluate, export, typical; the other commands are in the modules beside this one."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from training.cli.adopt import adopt
from training.cli.compare import compare as compare_runs
from training.cli.data import CACHE_HELP, CacheFolder, Data, DataFolders, check, pack, phantom
from training.cli.prevalence import shares
from training.cli.quantise import quantise
from training.cli.train import train
from training.errors import TrainingError, one_line
from training.fit.memory import keep_freed_memory

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # the boxes of rich cut long words such as the choices of --backbone
    help="Train AG-CNN on chest radiographs, evaluate it, and export the artefact that the service loads. "
    "Research use only, not a medical device.",
)


WithoutSecondLook = Annotated[
    bool,
    typer.Option(
        "--without-second-look",
        help="Leave out the local branch and the fusion layer: the global branch decides. Give it to evaluate and to "
        "export, as thresholds belong to one decision.",
    ),
]

app.command(short_help="Train a network.")(train)
app.command(short_help="Make a run of a published network.")(adopt)


@app.command(short_help="Calibrate and score a trained network.")
def evaluate(  # noqa: PLR0913 - options
    data: DataFolders,
    folds: Annotated[
        list[Path] | None,
        typer.Option(
            "--fold",
            metavar="<path>",
            help="Run folder of one fold; repeat the option for every fold. Without folds, the run is calibrated on "
            "its own held-out images.",
        ),
    ] = None,
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
    also: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="<path>",
            help="Another folder of data, whose test list is scored in a section of its own; the card does not change. "
            "May be repeated.",
        ),
    ] = None,
    prevalence: Annotated[
        list[str] | None,
        typer.Option(
            metavar="<label>=<share>",
            help="Prevalence for which predictive values are computed too, such as Pneumothorax=0.03; may be repeated.",
        ),
    ] = None,
    devices: Annotated[int, typer.Option(min=1, help="Number of processes that predict, one per GPU.")] = 1,
    without_second_look: WithoutSecondLook = False,
    cache: CacheFolder = None,
    least_sensitivity: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="A finding gets an operating point if the lower bound of its sensitivity is above this; by default "
            "above chance.",
        ),
    ] = 0.05,
    adjudicated: Annotated[
        Path | None,
        typer.Option(
            help="CSV table of labels that radiologists adjudicated, as Google Health published for ChestX-ray14: a "
            "column `Image Index`, and columns of YES and NO; needs --run."
        ),
    ] = None,
) -> None:
    """Calibrate on images that were not trained on, then score a run on the test list.

    They are the held-out images of the folds or, without folds, those of the run. A run that has none, such as one
    trained on train+val, is scored without calibration, and cannot be exported. The run folder gets metrics.json and
    report.html and, if calibrated, calibration.json and card.json.
    """
    from training.report import evaluate as evaluation
    from training.report.summary import external_lines, summary_lines

    with one_line():
        runs = [*(folds or ()), *([run] if run else ())]
        if not runs:
            raise TrainingError("evaluate: give --run, --fold, or both")
        if also and run is None:
            raise TrainingError("--also needs --run: folds have no network for other sets")
        plan = evaluation.Evaluation(
            tuple(folds or ()),
            data[0],
            cache or runs[0].parent / "cache",
            collection,
            tuple(compare or ()),
            devices,
            least_sensitivity,
            second_look=not without_second_look,
            prevalence=shares(prevalence or ()),
            adjudicated=adjudicated,
            further=tuple(data[1:]),
            also=tuple(also or ()),
        )
        if adjudicated and not run:
            raise TrainingError("--adjudicated is compared on the test list; name a run with --run")
        metrics = evaluation.evaluate(run, plan) if run else evaluation.cross_validate(plan)
        for line in (*summary_lines(metrics), *external_lines(metrics)) if metrics else ():
            typer.echo(line)  # only the first process has metrics


@app.command(short_help="Write the artefact, an ONNX file.")
def export(
    run: Annotated[Path, typer.Option(help="Run folder that has been evaluated.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="ONNX file to write.")],
    without_second_look: WithoutSecondLook = False,
    codes: Annotated[
        Path | None,
        typer.Option(
            help="CSV table of the codes of labels and of their sites in the body, for DICOM and FHIR.",
            show_default="codes.csv in the folder of --data, if there is one",
        ),
    ] = None,
    cache: CacheFolder = None,
) -> None:
    """Write the artefact, provided that ONNX Runtime and torch agree on 64 radiographs.

    The radiographs are those of val, or of train and val if val has fewer.
    """
    from model import agcnn
    from training.data.sources import canvases
    from training.export import export as artefact
    from training.export.codes import TABLE, read_codes
    from training.fit import checkpoint
    from training.fit.lineage import require_trained
    from training.report import decision
    from training.report import evaluate as evaluation

    with one_line():
        require_trained(run, not without_second_look)
        network, document = checkpoint.load(run)
        calibration, card = decision.load_calibration(run), checkpoint.read_json(run / evaluation.CARD)
        if without_second_look:
            network = agcnn.without_second_look(network)
        if codes or (data / TABLE).is_file():
            card["codes"] = read_codes(codes or data / TABLE, checkpoint.labels_of(document))
        size, cache = network.config.canvas_size, cache or run.parent / "cache"
        images = canvases(data, "val", size, cache)
        if len(images) < artefact.MIN_IMAGES:
            images = canvases(data, "train+val", size, cache)
        report = artefact.export(network, calibration, card, images.first(artefact.MIN_IMAGES), out)
        typer.echo(
            f"{out}: {report.size / 1e6:.1f} MB; ONNX Runtime and torch differ by at most {report.difference:.1e} in "
            f"probability and {report.box_difference:.1e} pixels in a box"
        )


@app.command(short_help="Add the check for atypical images to an artefact.")
def typical(
    artefact: Annotated[Path, typer.Option(help="ONNX file; only its card is changed, not the network.")],
    data: DataFolders,
    also: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="<path>",
            help="Another folder of data, on whose test list false alarms are counted; may be repeated.",
        ),
    ] = None,
    split: Annotated[
        Literal["val", "train+val"], typer.Option(help="Images to fit on; val if it has several hundred.")
    ] = "train+val",
    cache: Annotated[
        Path | None, typer.Option(help=CACHE_HELP, show_default="cache/ in the folder of the artefact")
    ] = None,
) -> None:
    """Add statistics of typical radiographs to an artefact, so that the service can flag images unlike them.

    The statistics are computed on the images of all folders of --data; the rate of false alarms is measured on each
    test list. The network's outputs differ a little on images that it was trained on: val shows those of new images.
    """
    from training.export import typicality

    with one_line():
        entry = typicality.add_typicality(artefact, data, also or (), cache or artefact.parent / "cache", split)
        typer.echo(f"{artefact}: typicality fitted on {entry['images']} images of {entry['source']}")
        for row in entry["false_alarms"]:
            low, high = row["interval"]
            typer.echo(f"flagged of {row['source']}, {row['images']} images: {row['value']:.1%} ({low:.1%}-{high:.1%})")


app.command(short_help="Make an artefact that computes with 8-bit integers.")(quantise)
app.command("compare", short_help="Compare evaluated runs.")(compare_runs)
app.command(short_help="Check a folder of images before training.")(check)
app.command(short_help="Decode all images before training.")(pack)
app.command(short_help="Draw synthetic radiographs.")(phantom)


def main() -> None:
    """Run the command line."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when ONNX Runtime is imported, which else reports usage data
    keep_freed_memory()
    app()
