"""`triage predict`: find the files, predict several at a time, print the results in order; nothing is stored."""

import asyncio
import csv
import json
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal

import typer
from rich.console import Console
from rich.progress import Progress

from service.artefact.card import NOTICE
from service.errors import ConfigurationError, InvalidRequest
from service.http.bodies import prediction_body
from service.http.problems import problem
from service.objects.drawing import Drawing
from service.prediction.predictor import Predictor
from service.settings import Settings
from service.telemetry import describe, log

SUFFIXES = (".dcm", ".dicom", ".ima")

Item = dict[str, Any]
Writer = Callable[[Item], None]
Format = Literal["words", "json", "csv"]


def files(paths: Sequence[Path]) -> list[Path]:
    """List the files to predict: every path that is a file, and the DICOM files in every path that is a folder.

    Raises
    ------
    ConfigurationError
        A path does not exist, or there is no DICOM file.
    """
    listed = [file for path in paths for file in _within(path)]
    if not listed:
        raise ConfigurationError("no DICOM file found")
    return listed


async def run(settings: Settings, files: Sequence[Path], overlay: Path | None, form: Format) -> int:
    """Predict every file and print the results.

    Parameters
    ----------
    overlay
        Folder of the PNG files, if any. A prediction is printed even if its PNG cannot be written.

    Returns
    -------
    int
        Number of files that were refused or have no PNG.

    Raises
    ------
    ArtefactError, ConfigurationError
    """
    if overlay is not None:
        _make_folder(overlay)
    workers = min(settings.limits.decode_workers, len(files))
    predictor, failed = Predictor(with_workers(settings, workers)), 0
    console = Console(stderr=True)
    write = _writer(form, predictor.artefact.card.labels)
    hidden = len(files) == 1 or not console.is_terminal
    async with predictor.running():
        with Progress(console=console, disable=hidden, redirect_stdout=False) as progress:
            task = progress.add_task("predicting", total=len(files))
            async for item in _items(predictor, files, overlay, 2 * workers):
                write(item)
                if "picture_problem" in item:
                    console.print(_without_picture(item), markup=False, highlight=False, soft_wrap=True)
                failed += "problem" in item or "picture_problem" in item
                progress.advance(task)
    return failed


def with_workers(settings: Settings, workers: int) -> Settings:
    """Return the settings with another number of decoder processes; each takes a second to start."""
    limits = settings.limits.model_copy(update={"decode_workers": workers})
    return settings.model_copy(update={"limits": limits})


def _within(path: Path) -> Iterator[Path]:
    if not path.exists():
        raise ConfigurationError(f"{path}: no such file or folder")
    if path.is_dir():
        yield from sorted(file for file in path.rglob("*") if file.is_file() and _looks_like_dicom(file))
    else:
        yield path


def _looks_like_dicom(file: Path) -> bool:
    if file.suffix.lower() in SUFFIXES:
        return True
    try:
        with file.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder}: cannot be created ({error.strerror})") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError(f"{folder}: not writable")


async def _items(
    predictor: Predictor, files: Sequence[Path], overlay: Path | None, at_once: int
) -> AsyncIterator[Item]:
    ahead: deque[asyncio.Task[Item]] = deque()
    for file, picture in zip(files, _pictures(files, overlay), strict=True):
        ahead.append(asyncio.create_task(_item(predictor, file, picture)))
        if len(ahead) == at_once:
            yield await ahead.popleft()
    while ahead:
        yield await ahead.popleft()


def _pictures(files: Sequence[Path], folder: Path | None) -> Iterator[Path | None]:
    """Return the path of each file's picture; files of the same name in several folders get a number."""
    used: set[str] = set()
    for file in files:
        numbered = (f"{file.stem}-{number}" for number in count(2))
        name = next(name for name in chain([file.stem], numbered) if name not in used)
        used.add(name)
        yield folder and folder / f"{name}.png"


async def _item(predictor: Predictor, file: Path, picture: Path | None) -> Item:
    try:
        data = await asyncio.to_thread(_read, predictor, file)
        record = await predictor.infer(await predictor.prepare(data))
    except Exception as error:  # one bad file does not stop the others
        refusal = _problem(error, "unreadable")
        return {"filename": str(file), "status": refusal["status"], "problem": refusal}
    unstored = {"id": None, "links": None}  # no server has it under an id
    prediction = prediction_body(record).model_dump(mode="json") | unstored
    item = {"filename": str(file), "status": 200, "prediction": prediction}
    try:
        if picture is not None:
            await asyncio.to_thread(picture.write_bytes, await predictor.draw(record, data, Drawing()))
    except Exception as error:  # the prediction is valid without its picture
        item["picture_problem"] = _problem(error, "unwritable")
    return item


def _problem(error: Exception, code: str) -> dict[str, Any]:
    """Return the problem document of an error; `code` is the code of an error of the file system."""
    public = problem(InvalidRequest(error.strerror or code, code) if isinstance(error, OSError) else error)
    if public.code == "internal_error":
        log().error("unexpected", **describe(error))
    return public.model_dump(exclude_none=True)


def _without_picture(item: Item) -> str:
    refusal = item["picture_problem"]
    return f"{item['filename']}: no picture ({refusal['code']}): {refusal['detail']}"


def _codes(refusal: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in refusal.get("errors", [refusal])]


def _read(predictor: Predictor, file: Path) -> bytes:
    predictor.check_size(file.stat().st_size)
    return file.read_bytes()


def _writer(form: Format, labels: Sequence[str]) -> Writer:
    if form == "json":
        return lambda item: typer.echo(json.dumps(item))
    if form == "words":
        typer.echo(NOTICE)
        return lambda item: typer.echo("\n".join(_words(item)))
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(("filename", "status", "code", "priority", "reason", "flags", *labels))
    return lambda item: table.writerow(_row(item, len(labels)))


def _row(item: Item, count: int) -> list[object]:
    if "problem" in item:
        return [item["filename"], item["status"], " ".join(_codes(item["problem"])), "", "", "", *[""] * count]
    prediction = item["prediction"]
    probabilities = (finding["probability"] for finding in prediction["findings"])
    return [
        item["filename"],
        item["status"],
        "",
        prediction["priority"],
        " ".join(label.replace(" ", "_") for label in prediction["reason"]),  # so that spaces separate labels
        " ".join(prediction["flags"]),
        *("" if probability is None else f"{probability:.6f}" for probability in probabilities),
    ]


def _words(item: Item) -> Iterator[str]:
    """Format a prediction for people: a line for the file, and below it a line per finding."""
    if "problem" in item:
        refusal = item["problem"]
        yield f"{item['filename']}: refused ({', '.join(_codes(refusal))}): {refusal['detail']}"
        return
    prediction = item["prediction"]
    reason = ", ".join(prediction["reason"])
    yield f"{item['filename']}: {prediction['priority']}{reason and f' for {reason}'}"
    second_look = "" if prediction["second_look"] else ", without a second look"
    yield "  region of attention: x {0}-{2}, y {1}-{3} of the image".format(*prediction["box"]) + second_look
    if prediction["flags"]:
        yield f"  flags: {', '.join(prediction['flags'])}"
    width = max(19, *(len(finding["label"]) for finding in prediction["findings"]))
    for finding in prediction["findings"]:
        if finding["probability"] is None:
            yield f"  {finding['label']:<{width}} -      not evaluated: the network was not trained on it"
            continue
        has_point = finding["threshold"] is not None
        verdict = ("positive" if finding["positive"] else "negative") if has_point else "no operating point"
        threshold = f" at {finding['threshold']:.3f}" if has_point else ""
        yield f"  {finding['label']:<{width}} {finding['probability']:.3f}  {verdict}{threshold}"
