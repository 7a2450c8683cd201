"""Files predicted without a server: found, analysed some at once, written in their order; nothing is kept."""

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

from service.errors import ConfigurationError, InvalidRequest
from service.http.documents import document
from service.http.problems import problem
from service.objects.overlay import NOTICE
from service.objects.rendering import Drawing
from service.prediction.predictor import Analyser
from service.settings import Settings
from service.telemetry import describe, log

SUFFIXES = (".dcm", ".dicom", ".ima")

Item = dict[str, Any]
Writer = Callable[[Item], None]
Format = Literal["words", "json", "csv"]


def files(paths: Sequence[Path]) -> list[Path]:
    """Take files as they are named, and of folders what looks like DICOM.

    Raises
    ------
    ConfigurationError
        A path that does not exist, or nothing to do.
    """
    found = [file for path in paths for file in _within(path)]
    if not found:
        raise ConfigurationError("no DICOM file there")
    return found


async def run(settings: Settings, files: Sequence[Path], overlay: Path | None, form: Format) -> int:
    """Predict and write every file, drawing it in the folder `overlay` if there is one; how many failed.

    A picture that cannot be drawn or written takes nothing from its prediction, but counts as failed.

    Raises
    ------
    ArtefactError, ConfigurationError
    """
    if overlay is not None:
        _make(overlay)
    workers = min(settings.limits.decode_workers, len(files))
    analyser, failed = Analyser(with_workers(settings, workers)), 0
    console = Console(stderr=True)
    write = _writer(form, analyser.artefact.card.labels)
    hidden = len(files) == 1 or not console.is_terminal
    async with analyser.running():
        with Progress(console=console, disable=hidden, redirect_stdout=False) as progress:
            task = progress.add_task("predicting", total=len(files))
            async for item in _items(analyser, files, overlay, 2 * workers):
                write(item)
                if "picture_problem" in item:
                    console.print(_without_picture(item), markup=False, highlight=False, soft_wrap=True)
                failed += "problem" in item or "picture_problem" in item
                progress.advance(task)
    return failed


def with_workers(settings: Settings, workers: int) -> Settings:
    """Take no more decoder processes than there is work for: each takes a second to start."""
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
        with file.open("rb") as opened:
            return opened.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder}: cannot be made ({error.strerror})") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError(f"{folder}: not writable")


async def _items(analyser: Analyser, files: Sequence[Path], overlay: Path | None, at_once: int) -> AsyncIterator[Item]:
    ahead: deque[asyncio.Task[Item]] = deque()
    for file, picture in zip(files, _pictures(files, overlay), strict=True):
        ahead.append(asyncio.create_task(_item(analyser, file, picture)))
        if len(ahead) == at_once:
            yield await ahead.popleft()
    while ahead:
        yield await ahead.popleft()


def _pictures(files: Sequence[Path], folder: Path | None) -> Iterator[Path | None]:
    """Where each file's picture goes: files of one name in several folders get a number."""
    taken: set[str] = set()
    for file in files:
        numbered = (f"{file.stem}-{number}" for number in count(2))
        name = next(name for name in chain([file.stem], numbered) if name not in taken)
        taken.add(name)
        yield folder and folder / f"{name}.png"


async def _item(analyser: Analyser, file: Path, picture: Path | None) -> Item:
    try:
        data = await asyncio.to_thread(_read, analyser, file)
        record = await analyser.infer(await analyser.prepare(data))
        record.body["timings_ms"]["store"] = 0.0
    except Exception as error:  # one bad file spoils none of the others
        told = _problem(error, "unreadable")
        return {"filename": str(file), "status": told["status"], "problem": told}
    unkept = {"id": None, "links": None}  # there is no server to ask for it again
    item = {"filename": str(file), "status": 200, "prediction": document(record) | unkept}
    try:
        if picture is not None:
            await asyncio.to_thread(picture.write_bytes, await analyser.draw(record, data, Drawing()))
    except Exception as error:  # the prediction stands without its picture
        item["picture_problem"] = _problem(error, "unwritable")
    return item


def _problem(error: Exception, code: str) -> dict[str, Any]:
    """Say an error in public words; one of the file system under `code`."""
    told = problem(InvalidRequest(error.strerror or code, code) if isinstance(error, OSError) else error)
    if told.code == "internal_error":
        log().error("unexpected", **describe(error))
    return told.model_dump(exclude_none=True)


def _without_picture(item: Item) -> str:
    told = item["picture_problem"]
    return f"{item['filename']}: no picture ({told['code']}): {told['detail']}"


def _codes(told: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in told.get("errors", [told])]


def _read(analyser: Analyser, file: Path) -> bytes:
    analyser.check_size(file.stat().st_size)
    return file.read_bytes()


def _writer(form: Format, labels: Sequence[str]) -> Writer:
    if form == "json":
        return lambda item: typer.echo(json.dumps(item))
    if form == "words":
        typer.echo(NOTICE)
        return lambda item: typer.echo("\n".join(_words(item)))
    names = ("filename", "status", "code", "priority", "reason", "flags", *labels)
    table = csv.DictWriter(sys.stdout, names, restval="", lineterminator="\n")
    table.writeheader()
    return lambda item: table.writerow(_row(item))


def _row(item: Item) -> dict[str, object]:
    if "problem" in item:
        return {"filename": item["filename"], "status": item["status"], "code": " ".join(_codes(item["problem"]))}
    prediction = item["prediction"]
    return {
        "filename": item["filename"],
        "status": item["status"],
        "priority": prediction["priority"],
        "reason": " ".join(prediction["reason"]),
        "flags": " ".join(prediction["flags"]),
    } | {finding["label"]: f"{finding['probability']:.6f}" for finding in prediction["findings"]}


def _words(item: Item) -> Iterator[str]:
    """Say it to a person: a line, and under it the findings."""
    if "problem" in item:
        told = item["problem"]
        yield f"{item['filename']}: refused ({', '.join(_codes(told))}): {told['detail']}"
        return
    prediction = item["prediction"]
    reason = ", ".join(prediction["reason"])
    yield f"{item['filename']}: {prediction['priority']}{reason and f' for {reason}'}"
    yield "  looked closer at x {0}-{2}, y {1}-{3} of the image".format(*prediction["box"])
    if prediction["flags"]:
        yield f"  flags: {', '.join(prediction['flags'])}"
    for finding in prediction["findings"]:
        known = finding["threshold"] is not None
        verdict = ("positive" if finding["positive"] else "negative") if known else "no operating point"
        threshold = f" at {finding['threshold']:.3f}" if known else ""
        yield f"  {finding['label']:<19} {finding['probability']:.3f}  {verdict}{threshold}"
