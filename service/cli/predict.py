"""`triage predict`: find the files, predict several at a time, print the results in order; nothing is stored."""

import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from service.cli.formats import Format, Item, without_picture, writer
from service.dicom.foreign_format import foreign_format
from service.dicom.plain_picture import FORMATS, as_chest
from service.errors import ConfigurationError, InvalidRequest
from service.http.bodies import prediction_body
from service.http.presented import present
from service.http.problems import problem
from service.objects.drawing import Drawing
from service.prediction.predictor import Predictor
from service.settings import Settings
from service.telemetry import describe, log

SUFFIXES = (".dcm", ".dicom", ".ima")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
ASSUMED = "assumed_chest"  # flag of a picture without DICOM attributes


@dataclass(frozen=True)
class Job:
    """What to do with every file.

    Attributes
    ----------
    form
        How the results are printed.
    overlay
        Folder of the PNG files, if any. A prediction is printed even if its PNG cannot be written.
    as_chest
        Whether PNG and JPEG pictures are taken for frontal chest radiographs.
    """

    form: Format
    overlay: Path | None = None
    as_chest: bool = False


@dataclass
class Tally:
    """How many files are done, how many of them were refused or have no PNG, and whether the run was interrupted."""

    done: int = 0
    failed: int = 0
    interrupted: bool = False


def files(paths: Sequence[Path], pictures: bool = False) -> list[Path]:
    """List the files to predict: every path that is a file, and the DICOM files in every path that is a folder.

    Parameters
    ----------
    pictures
        Whether PNG and JPEG files in folders are listed, too.

    Raises
    ------
    ConfigurationError
        A path does not exist, or there is no such file.
    """
    listed = [file for path in paths for file in _within(path, pictures)]
    if not listed:
        raise ConfigurationError(
            "no DICOM file and no picture found" if pictures else "no DICOM file found; --as-chest finds pictures, too"
        )
    return listed


async def run(settings: Settings, files: Sequence[Path], job: Job) -> Tally:
    """Predict every file and print the results in order, until the end or until it is cancelled, as by Ctrl-C.

    Raises
    ------
    ArtefactError, ConfigurationError
    """
    if job.overlay is not None:
        if settings.triage.presentation != "full":
            raise ConfigurationError("--overlay shows a place, which TRIAGE_TRIAGE__PRESENTATION=triage_only forbids")
        _make_folder(job.overlay)
    workers = min(settings.limits.decode_workers, len(files))
    predictor, tally = Predictor(with_workers(settings, workers)), Tally()
    present(predictor.presentation)
    write = writer(job.form, predictor.artefact.card.labels)
    console = Console(stderr=True)
    hidden = len(files) == 1 or not console.is_terminal
    try:
        async with predictor.running():
            with Progress(console=console, disable=hidden, redirect_stdout=False, transient=True) as progress:
                task = progress.add_task("predicting", total=len(files))
                async with aclosing(_items(predictor, files, job, 2 * workers)) as items:
                    async for item in items:
                        with _erased(progress):
                            write(item)
                        if "picture_problem" in item:
                            console.print(without_picture(item), markup=False, highlight=False, soft_wrap=True)
                        tally.done += 1
                        tally.failed += "problem" in item or "picture_problem" in item
                        progress.advance(task)
    except asyncio.CancelledError:
        tally.interrupted = True
    return tally


def with_workers(settings: Settings, workers: int) -> Settings:
    """Return the settings with another number of decoder processes; each takes a second to start."""
    limits = settings.limits.model_copy(update={"decode_workers": workers})
    return settings.model_copy(update={"limits": limits})


@contextmanager
def _erased(progress: Progress) -> Iterator[None]:
    """Take the progress bar away while something is printed to the same terminal, and draw it below."""
    shared = sys.stdout.isatty() and not progress.disable
    if shared:
        progress.stop()
    yield
    if shared:
        progress.start()


def _within(path: Path, pictures: bool) -> Iterator[Path]:
    if not path.exists():
        raise ConfigurationError(f"{path}: no such file or folder")
    if path.is_dir():
        yield from sorted(file for file in path.rglob("*") if file.is_file() and _is_wanted(file, pictures))
    else:
        yield path


def _is_wanted(file: Path, pictures: bool) -> bool:
    return _looks_like_dicom(file) or (pictures and file.suffix.lower() in PICTURE_SUFFIXES)


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


async def _items(predictor: Predictor, files: Sequence[Path], job: Job, at_once: int) -> AsyncGenerator[Item, None]:
    ahead: deque[asyncio.Task[Item]] = deque()
    try:
        for file, picture in zip(files, _pictures(files, job.overlay), strict=True):
            ahead.append(asyncio.create_task(_item(predictor, file, picture, job.as_chest)))
            if len(ahead) == at_once:
                yield await ahead.popleft()
        while ahead:
            yield await ahead.popleft()
    finally:  # before the decoders are closed, which the tasks would report as errors of their files
        for task in ahead:
            task.cancel()
        await asyncio.gather(*ahead, return_exceptions=True)


def _pictures(files: Sequence[Path], folder: Path | None) -> Iterator[Path | None]:
    """Return the path of each file's picture; files of the same name in several folders get a number."""
    used: set[str] = set()
    for file in files:
        numbered = (f"{file.stem}-{number}" for number in count(2))
        name = next(name for name in chain([file.stem], numbered) if name not in used)
        used.add(name)
        yield folder and folder / f"{name}.png"


async def _item(predictor: Predictor, file: Path, picture: Path | None, pictures: bool) -> Item:
    try:
        data = await asyncio.to_thread(_read, predictor, file)
        if assumed := pictures and foreign_format(data) in FORMATS:
            data = await predictor.examine(data, as_chest)
        record = await predictor.infer(await predictor.prepare(data))
    except Exception as error:  # one bad file does not stop the others
        refusal = _problem(error, "unreadable")
        return {"filename": str(file), "status": refusal["status"], "problem": refusal}
    if assumed:
        flags = (ASSUMED, *record.prediction.flags)
        record = replace(record, prediction=replace(record.prediction, flags=flags))
    unstored = {"id": None, "links": None}  # no server has it under an id
    prediction = prediction_body(record).model_dump(mode="json") | unstored
    item = {"filename": str(file), "status": 200, "prediction": prediction, "margin": record.prediction.margin}
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


def _read(predictor: Predictor, file: Path) -> bytes:
    predictor.check_size(file.stat().st_size)
    return file.read_bytes()
