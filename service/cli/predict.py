"""`triage predict`: predict files, several at a time, and keep the results in order; nothing else is stored."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AbstractContextManager, aclosing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from service.artefact.file import Artefact
from service.cli.formats import BETWEEN, Format, Item, codes, without_picture, writer
from service.cli.line_file import line_file
from service.cli.listing import overlays
from service.cli.results import Results
from service.cli.tally import Tally
from service.dicom.foreign_format import foreign_format
from service.dicom.plain_picture import FORMATS, as_chest
from service.errors import ConfigurationError, InvalidRequest
from service.http.bodies import prediction_body
from service.http.presented import present
from service.http.problems import problem
from service.objects.drawing import Drawing
from service.prediction.decoder_settings import decoder_count
from service.prediction.in_order import in_order
from service.prediction.predictor import Predictor
from service.settings import Settings
from service.telemetry import describe, log

ASSUMED = "assumed_chest"  # flag of a picture without DICOM attributes
IN_WORK = 2  # files in memory for each decoder process, so that none waits for the next
WAITING = 32  # results for each decoder process that may wait for an earlier file, such as a large one
_SIGNATURE_BYTES = 16  # enough of a file for its format

Request = tuple[Path, Path | None]  # a file, and its picture if there will be one


@dataclass(frozen=True)
class Job:
    """What to do with every file.

    Attributes
    ----------
    form
        Form of the results.
    output
        File to which the results are added; without one they are printed.
    overlay
        Folder of the PNG files, if any. A prediction is kept even if its PNG cannot be written.
    as_chest
        Whether PNG and JPEG pictures are taken for frontal chest radiographs.
    """

    form: Format
    output: Path | None = None
    overlay: Path | None = None
    as_chest: bool = False


async def run(settings: Settings, files: Sequence[Path], job: Job) -> Tally:
    """Predict every file that has no result yet, until the end or until it is cancelled, as by Ctrl-C.

    Raises
    ------
    ArtefactError, ConfigurationError
    TriageError
        `unwritable`: the results cannot be written.
    """
    if job.overlay is not None:
        if settings.triage.presentation != "full":
            raise ConfigurationError("--overlay shows a place, which TRIAGE_TRIAGE__PRESENTATION=triage_only forbids")
        _make_folder(job.overlay)
    workers = min(decoder_count(settings.limits), len(files))
    predictor, tally = Predictor(with_workers(settings, workers)), Tally()
    present(predictor.presentation)
    requests: list[Request] = []
    try:
        with _results(job, predictor.artefact) as results:
            for request in zip(files, overlays(files, job.overlay), strict=True):
                known = results.known.get(_name(request[0]))
                if known is None:
                    requests.append(request)
                else:
                    tally.add(known.split(BETWEEN) if known else ())
            tally.known = tally.done
            if requests:
                async with predictor.running():
                    work = partial(_item, predictor, job.as_chest)
                    items = in_order(work, requests, IN_WORK * workers, WAITING * workers)
                    await _keep(items, job, results, tally, tally.known + len(requests))
    except asyncio.CancelledError:
        tally.interrupted = True
    return tally


async def _keep(items: AsyncGenerator[Item, None], job: Job, results: Results, tally: Tally, total: int) -> None:
    """Keep and count each result, with a progress bar if a person is looking."""
    console = Console(stderr=True)
    hidden = total == 1 or not console.is_terminal
    with Progress(console=console, disable=hidden, redirect_stdout=False, transient=True) as progress:
        task = progress.add_task("predicting", total=total, completed=tally.known)
        async with aclosing(items):
            async for item in items:
                if not (job.output and passes(item)):  # an output is the record of what is done
                    with nullcontext() if job.output else _erased(progress):
                        results.write(item)
                if "picture_problem" in item:
                    console.print(without_picture(item), markup=False, highlight=False, soft_wrap=True)
                tally.add(codes(item), "picture_problem" not in item)
                tally.passing += passes(item)
                progress.advance(task)
                await asyncio.sleep(0)  # Ctrl-C is noticed here also if the next results are ready


def passes(item: Item) -> bool:
    """Whether a refusal may pass: it is of a process, the network, a disk or a bug, or the file could not be read."""
    return bool(item["status"] >= 500 or item.get("problem", {}).get("code") == "unreadable")


def with_workers(settings: Settings, workers: int) -> Settings:
    """Return the settings with another number of decoder processes; each takes a second to start."""
    limits = settings.limits.model_copy(update={"decode_workers": workers})
    return settings.model_copy(update={"limits": limits})


def _results(job: Job, artefact: Artefact) -> AbstractContextManager[Results]:
    match job:
        case Job("parquet", Path() as output):
            from service.cli.parquet_table import parquet_table

            return parquet_table(output, artefact)
        case Job("json" | "csv" as form, Path() as output):
            return line_file(output, form, artefact)
        case Job("words" | "json" | "csv" as form):
            return nullcontext(Results(writer(form, artefact.card.labels)))
    raise ConfigurationError(f"results in the form {job.form} cannot be printed")


def _name(file: Path) -> str:
    """Return the name of a file as text, also if its bytes are not UTF-8."""
    return os.fsencode(file).decode(errors="backslashreplace")


@contextmanager
def _erased(progress: Progress) -> Iterator[None]:
    """Take the progress bar away while something is printed to the same terminal, and draw it below."""
    shared = sys.stdout.isatty() and not progress.disable
    if shared:
        progress.stop()
    yield
    if shared:
        progress.start()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder}: cannot be created ({error.strerror})") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError(f"{folder}: not writable")


async def _item(predictor: Predictor, pictures: bool, request: Request) -> Item:
    outcome = await _outcome(predictor, request, pictures)
    return {"filename": _name(request[0]), **outcome, "artefact_sha256": predictor.artefact.sha256}


async def _outcome(predictor: Predictor, request: Request, pictures: bool) -> Item:
    file, picture = request
    try:
        predictor.check_size(file.stat().st_size)
        assumed = pictures and await asyncio.to_thread(_is_picture, file)
        source = await predictor.examine(file, as_chest) if assumed else file
        record = await predictor.infer(await predictor.prepare(source))
    except Exception as error:  # one bad file does not stop the others
        refusal = _problem(error, "unreadable")
        return {"status": refusal["status"], "problem": refusal}
    if assumed:
        flags = (ASSUMED, *record.prediction.flags)
        record = replace(record, prediction=replace(record.prediction, flags=flags))
    unstored = {"id": None, "links": None}  # no server has it under an id
    prediction = prediction_body(record).model_dump(mode="json") | unstored
    item = {"status": 200, "prediction": prediction, "margin": record.prediction.margin}
    try:
        if picture is not None:
            await asyncio.to_thread(picture.write_bytes, await predictor.draw(record, source, Drawing()))
    except Exception as error:  # the prediction is valid without its picture
        item["picture_problem"] = _problem(error, "unwritable")
    return item


def _problem(error: Exception, code: str) -> dict[str, Any]:
    """Return the problem document of an error; `code` is the code of an error of the file system."""
    public = problem(InvalidRequest(error.strerror or code, code) if isinstance(error, OSError) else error)
    if public.code == "internal_error":
        log().error("unexpected", **describe(error))
    return public.model_dump(exclude_none=True)


def _is_picture(file: Path) -> bool:
    with file.open("rb") as stream:
        return foreign_format(stream.read(_SIGNATURE_BYTES)) in FORMATS
