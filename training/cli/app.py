"""`agcnn`: train, evaluate, export, typical; check and phantom of `data_cli`."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from training.cli.data import Data, check, phantom
from training.errors import one_line

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train AG-CNN on chest radiographs, evaluate it, and export the artefact that the service loads. "
    "Research use only, not a medical device.",
)

Run = Annotated[Path, typer.Option(help="Run folder: weights, history and results are written there.")]
CacheFolder = Annotated[
    Path | None, typer.Option(help="Where decoded canvases are kept between runs.", show_default="cache/ beside --out")
]


@app.command()
def train(  # noqa: PLR0913 - options
    data: Data,
    out: Run,
    recipe: Annotated[str, typer.Option(help="modern, or paper: as Guan et al. trained.")] = "modern",
    config: Annotated[Path | None, typer.Option(help="TOML file of settings; wins over the recipe.")] = None,
    init: Annotated[
        Path | None,
        typer.Option(help="Weights to begin from: a run's network.safetensors, or a published trunk (.npz, .pth)."),
    ] = None,
    split: Annotated[str, typer.Option(help="train (scored on val), or train+val.")] = "train",
    fold: Annotated[
        str | None, typer.Option(help="k/n: hold out part k of n of train+val, by patient, k from 1.", metavar="K/N")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="Of both branches; a name it does not know lists them.")] = None,
    stages: Annotated[str | None, typer.Option(help="Some of global,local,fusion.")] = None,
    epochs: Annotated[str | None, typer.Option(help="Of the stages global,local,fusion: 12,8,4.")] = None,
    rates: Annotated[str | None, typer.Option(help="Peak learning rates of the same: 3e-4,3e-4,1e-3.")] = None,
    batches: Annotated[
        str | None, typer.Option(help="Images in a batch of one process, of the same: 32,32,32.")
    ] = None,
    optimiser: Annotated[str | None, typer.Option(help="adamw or sgd.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Of the optimiser.")] = None,
    schedule: Annotated[str | None, typer.Option(help="cosine, or step: a tenth of the rate after 20 epochs.")] = None,
    canvas_size: Annotated[int | None, typer.Option(help="Side of the canvas, pixels.")] = None,
    input_size: Annotated[int | None, typer.Option(help="Side of what each branch sees, pixels.")] = None,
    pooling: Annotated[str | None, typer.Option(help="max or average.")] = None,
    statistic: Annotated[str | None, typer.Option(help="Of the heat map: max, l1 or l2.")] = None,
    tau: Annotated[float | None, typer.Option(help="Of the region, 0 to 1; the larger, the smaller the crop.")] = None,
    crop_from: Annotated[str | None, typer.Option(help="canvas, or the global branch's input.")] = None,
    no_finding: Annotated[bool | None, typer.Option(help="Train a fifteenth output; no score counts it.")] = None,
    positive_weight: Annotated[bool | None, typer.Option(help="Weigh rare findings' positives in the loss.")] = None,
    teachers: Annotated[
        list[Path] | None, typer.Option("--teacher", help="Finished run to learn from; may be repeated.")
    ] = None,
    distil: Annotated[float | None, typer.Option(help="Share of the teachers' word in the targets, 0 to 1.")] = None,
    without: Annotated[
        Path | None, typer.Option(help="Another folder of data, whose patients are not trained on.")
    ] = None,
    average: Annotated[float | None, typer.Option(help="Decay of the moving average of weights; 0 for none.")] = None,
    select: Annotated[str | None, typer.Option(help="Of each stage the best epoch on val, or the last.")] = None,
    devices: Annotated[int | None, typer.Option(help="Processes on this machine, one to a GPU.")] = None,
    num_nodes: Annotated[
        int | None,
        typer.Option(
            help="Machines; start the same command on each, by torchrun or with NODE_RANK and MASTER_ADDR set."
        ),
    ] = None,
    precision: Annotated[str | None, typer.Option(help="32-true or bf16-mixed.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that make a process's batches ready.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same data: same weights.")] = None,
    threads: Annotated[int | None, typer.Option(help="Processor threads.")] = None,
    cache: CacheFolder = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out where it stopped.")] = False,
) -> None:
    """Train the global branch, then the local one on its crops, then the fusion layer; options win over any file."""
    from training.fit import run
    from training.fit.recipe import settled

    with one_line():
        given: dict[str, Any] = {
            "backbone": backbone,
            "stages": stages and tuple(stages.split(",")),
            "epochs": epochs and numbers(epochs, int),
            "learning_rates": rates and numbers(rates, float),
            "batch_sizes": batches and numbers(batches, int),
            "optimiser": optimiser,
            "weight_decay": weight_decay,
            "schedule": schedule,
            "canvas_size": canvas_size,
            "input_size": input_size,
            "pooling": pooling,
            "statistic": statistic,
            "tau": tau,
            "crop_from": crop_from,
            "no_finding": no_finding,
            "positive_weight": positive_weight,
            "distil": distil,
            "average": average,
            "select": select,
            "devices": devices,
            "num_nodes": num_nodes,
            "precision": precision,
            "workers": workers,
            "seed": seed,
            "threads": threads,
        }
        settings = settled(recipe, config, {name: value for name, value in given.items() if value is not None})
        plan = run.Plan(data, cache or out.parent / "cache", split, part(fold) if fold else None, init)
        run.train(replace(plan, teachers=tuple(teachers or ()), without=without), settings, out, resume)


@app.command()
def evaluate(  # noqa: PLR0913 - options
    data: Data,
    folds: Annotated[list[Path], typer.Option("--fold", help="Run folder of one fold; give every one.")],
    run: Annotated[
        Path | None, typer.Option(help="Finished run to score on the test list; without it, the folds alone.")
    ] = None,
    collection: Annotated[
        str, typer.Option(help="Calibrate on this collection alone, and give every score within it too.")
    ] = "",
    compare: Annotated[
        list[Path] | None, typer.Option(help="CSV of another model's predictions on the test list; may be repeated.")
    ] = None,
    devices: Annotated[int, typer.Option(min=1, help="Processes, or GPUs, that predict.")] = 1,
    cache: CacheFolder = None,
) -> None:
    """Calibrate on the folds' held-out images, then score a run on the test list: metrics.json and card.json."""
    from training.report import evaluate as evaluation
    from training.report.summary import headlines

    with one_line():
        kept = cache or folds[0].parent / "cache"
        plan = evaluation.Evaluation(tuple(folds), data, kept, collection, tuple(compare or ()), devices)
        found = evaluation.evaluate(run, plan) if run else evaluation.cross_validated(plan)
        for line in headlines(found) if found else ():  # only the first of several processes has any
            typer.echo(line)


@app.command()
def export(
    run: Annotated[Path, typer.Option(help="Run folder that has been evaluated.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="The ONNX file to write.")],
    cache: CacheFolder = None,
) -> None:
    """Write the artefact, if ONNX Runtime and the network agree on 64 radiographs of val, or of train and val."""
    from training.data.sources import canvases
    from training.export import export as artefact
    from training.fit import checkpoint
    from training.report import evaluate as evaluation

    with one_line():
        network, _ = checkpoint.load(run)
        size, kept = network.config.canvas_size, cache or run.parent / "cache"
        images = canvases(data, "val", size, kept)
        if len(images) < artefact.MIN_IMAGES:
            images = canvases(data, "train+val", size, kept)
        card = checkpoint.read_json(run / evaluation.CARD)
        report = artefact.export(
            network, evaluation.load_calibration(run), card, images.first(artefact.MIN_IMAGES), out
        )
        typer.echo(
            f"{out}: {report.size / 1e6:.1f} MB; ONNX Runtime and torch differ by at most {report.difference:.1e} in "
            f"probability and {report.box_difference:.1e} pixels in a box"
        )


@app.command()
def typical(
    artefact: Annotated[Path, typer.Option(help="ONNX file; its card is written anew, the network is not touched.")],
    data: Data,
    also: Annotated[
        list[Path] | None, typer.Option(help="More data, of whose test list false alarms are counted; may be repeated.")
    ] = None,
    cache: CacheFolder = None,
) -> None:
    """Put into an artefact what it makes of real radiographs, so that the service flags what is unlike them."""
    from training.export import typicality

    with one_line():
        entry = typicality.add_typicality(artefact, data, also or (), cache or artefact.parent / "cache")
        typer.echo(f"{artefact}: typicality fitted on {entry['images']} images of {entry['source']}")
        for row in entry["false_alarms"]:
            low, high = row["interval"]
            typer.echo(f"flagged of {row['source']}, {row['images']} images: {row['value']:.1%} ({low:.1%}-{high:.1%})")


app.command()(check)
app.command()(phantom)


def numbers(text: str, kind: type) -> tuple[Any, ...]:
    """`12,8,4` as a tuple."""
    from training.errors import TrainingError

    try:
        return tuple(kind(word) for word in text.split(","))
    except ValueError as error:
        raise TrainingError(f"wanted numbers with commas between them, got {text!r}") from error


def part(text: str) -> tuple[int, int]:
    """`1/4` as (0, 4)."""
    from training.errors import TrainingError

    words = text.split("/")
    if len(words) != 2 or not all(word.isdecimal() for word in words) or not 1 <= int(words[0]) <= int(words[1]):
        raise TrainingError(f"fold: wanted k/n with k from 1 to n, such as 1/4, got {text!r}")
    return int(words[0]) - 1, int(words[1])


def main() -> None:
    """Run the command line."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime sends usage data to its maker; read when it is imported
    app()
