"""`agcnn`: train, evaluate, export, phantom."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train AG-CNN on chest radiographs, evaluate it, and export the artefact that the service loads. "
    "Research use only, not a medical device.",
)

Run = Annotated[Path, typer.Option(help="Run folder: weights, history and results are written there.")]
Data = Annotated[
    Path,
    typer.Option(help="Folder in ChestX-ray14's published format: the tables, the split lists, images/."),
]
CacheFolder = Annotated[
    Path | None, typer.Option(help="Where decoded canvases are kept between runs.", show_default="cache/ beside --out")
]


@app.command()
def train(  # noqa: PLR0913 - options
    data: Data,
    out: Run,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings; options below win over it.")] = None,
    init: Annotated[
        Path | None,
        typer.Option(help="Weights to begin from: a run's network.safetensors, or a published trunk as .npz."),
    ] = None,
    split: Annotated[str, typer.Option(help="train (scored on val), or train+val.")] = "train",
    fold: Annotated[
        str | None, typer.Option(help="k/n: hold out part k of n of train+val, by patient, k from 1.", metavar="K/N")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="squeezenet1_1 or densenet121.")] = None,
    stages: Annotated[str | None, typer.Option(help="Some of global,local,fusion.")] = None,
    epochs: Annotated[str | None, typer.Option(help="Of the stages global,local,fusion: 12,8,4.")] = None,
    rates: Annotated[str | None, typer.Option(help="Peak learning rates of the same: 3e-4,3e-4,1e-3.")] = None,
    canvas_size: Annotated[int | None, typer.Option(help="Side of the canvas, pixels.")] = None,
    input_size: Annotated[int | None, typer.Option(help="Side of what each branch sees, pixels.")] = None,
    pooling: Annotated[str | None, typer.Option(help="max or average.")] = None,
    select: Annotated[str | None, typer.Option(help="Of each stage the best epoch on val, or the last.")] = None,
    precision: Annotated[str | None, typer.Option(help="32-true or bf16-mixed.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same data: same weights.")] = None,
    threads: Annotated[int | None, typer.Option(help="Processor threads.")] = None,
    cache: CacheFolder = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out where it stopped.")] = False,
) -> None:
    """Train the global branch, then the local one on its crops, then the fusion layer."""
    from training import run
    from training.config import TrainConfig, configured, from_toml

    with one_line():
        given: dict[str, Any] = {
            "backbone": backbone,
            "stages": stages and tuple(stages.split(",")),
            "epochs": epochs and numbers(epochs, int),
            "learning_rates": rates and numbers(rates, float),
            "canvas_size": canvas_size,
            "input_size": input_size,
            "pooling": pooling,
            "select": select,
            "precision": precision,
            "seed": seed,
            "threads": threads,
        }
        settings = configured(TrainConfig(), from_toml(config) if config else {})
        settings = configured(settings, {name: value for name, value in given.items() if value is not None})
        plan = run.Plan(data, cache or out.parent / "cache", split, part(fold) if fold else None, init)
        run.train(plan, settings, out, resume)
        typer.echo(f"{out}: finished")


@app.command()
def evaluate(
    data: Data,
    folds: Annotated[list[Path], typer.Option("--fold", help="Run folder of one fold; give every one.")],
    run: Annotated[
        Path | None, typer.Option(help="Finished run to score on the test list; without it, the folds alone.")
    ] = None,
    collection: Annotated[
        str, typer.Option(help="Calibrate on this collection alone, and give every score within it too.")
    ] = "",
    cache: CacheFolder = None,
) -> None:
    """Calibrate on the folds' held-out images, then score a run on the test list: metrics.json and card.json."""
    from training import evaluate as evaluation

    with one_line():
        plan = evaluation.Evaluation(tuple(folds), data, cache or folds[0].parent / "cache", collection)
        scores = evaluation.evaluate(run, plan)["metrics"] if run else evaluation.cross_validated(plan)
        for score in scores:
            if score["label"] == "macro":
                typer.echo(sentence(score))


@app.command()
def export(
    run: Annotated[Path, typer.Option(help="Run folder that has been evaluated.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="The ONNX file to write.")],
    cache: CacheFolder = None,
) -> None:
    """Write the artefact, if ONNX Runtime gives what the network gives on 64 radiographs of the val list."""
    from training import checkpoint
    from training import evaluate as evaluation
    from training import export as artefact
    from training.sources import canvases

    with one_line():
        network, _ = checkpoint.load(run)
        images = canvases(data, "val", network.config.canvas_size, cache or run.parent / "cache")
        card = checkpoint.read_json(run / evaluation.CARD)
        report = artefact.export(
            network, evaluation.load_calibration(run), card, images.first(artefact.FEWEST_IMAGES), out
        )
        typer.echo(
            f"{out}: {report.size / 1e6:.1f} MB; ONNX Runtime and torch differ by at most {report.difference:.1e} in "
            f"probability and {report.box_difference:.1e} pixels in a box"
        )


@app.command()
def phantom(
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("samples"),
    samples: Annotated[bool, typer.Option("--samples", help="The samples of the repository, nothing else.")] = False,
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same phantoms.")] = 0,
) -> None:
    """Write procedural chest radiographs as 12-bit DICOM, and findings.csv with what each one shows."""
    from training.phantom import samples as shipped
    from training.phantom.dicom import write_dicom
    from training.phantom.film import phantom as made

    if samples:
        files = shipped.samples(out)
    else:
        out.mkdir(parents=True, exist_ok=True)
        pictures = {out / f"phantom_{index:06d}.dcm": made(seed, index, shipped.SHAPE) for index in range(count)}
        rows = [f"{path.name},{'|'.join(picture.boxes) or 'No Finding'}\n" for path, picture in pictures.items()]
        (out / "findings.csv").write_text("".join(["file,findings\n", *rows]), encoding="utf-8")
        files = tuple(path for path, picture in pictures.items() if path.write_bytes(write_dicom(picture, seed)))
    typer.echo(f"{out}: {len(files)} phantoms")


def sentence(score: dict[str, Any]) -> str:
    """One macro score in words."""
    low, high = score["interval"] or (float("nan"), float("nan"))
    where = f"{score['split']}, {score['images']} images, {score['branch']}"
    return f"{where}: macro AUROC {score['value']:.3f} ({low:.3f}-{high:.3f})"


@contextmanager
def one_line() -> Iterator[None]:
    """Turn what a person can mend into one line on stderr and exit status 2."""
    from training.errors import TrainingError

    try:
        yield
    except TrainingError as error:
        typer.echo(f"agcnn: {error}", err=True)
        raise typer.Exit(2) from error


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
