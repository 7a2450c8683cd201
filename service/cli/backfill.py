"""`triage backfill`: predict every file of an archive into a table of Parquet files."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.status import Status

from service import settings
from service.cli.interruption import sigterm_as_ctrl_c
from service.cli.status import INTERRUPTED, UNFINISHED
from service.errors import ConfigurationError, TriageError
from service.telemetry import read_or_create_key

if TYPE_CHECKING:
    from service.backfill.work import Progress, Source

_TICK_SECONDS = {True: 1.0, False: 60.0}  # between two reports, to a person at a terminal and to a log


def backfill(  # noqa: PLR0913 - options
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="Folder of DICOM files, s3://bucket/prefix, or the URL of a DICOMweb archive."
        ),
    ],
    destination: Annotated[
        str, typer.Argument(metavar="DESTINATION", help="Folder, or s3://bucket/prefix, of the Parquet files.")
    ],
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="The processes of this machine, or the nodes of a Ray cluster.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="Address of the Ray cluster; without one, Ray starts on this machine.")
    ] = None,
    authorization_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File with the value of the header Authorization for a DICOMweb archive, as Bearer KEY.",
        ),
    ] = None,
    report_to: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Send the structured report of each predicted file to this destination of "
            "TRIAGE_SENDING__DESTINATIONS. A file whose report is not taken has no row.",
        ),
    ] = None,
    store: Annotated[
        bool,
        typer.Option(
            "--store",
            help="Store each predicted file and its record in the database and the storage of the settings, as the "
            "service does, but marked as read.",
        ),
    ] = False,
    hash_names: Annotated[
        bool,
        typer.Option("--hash-names", help="Write keyed hashes in place of UIDs and names of files (`triage hash`)."),
    ] = False,
) -> None:
    """Predict every file of an archive that has no row in the destination yet.

    A row has the name of the file, its UIDs, findings, priority, box and flags, or the codes for which it was refused.
    The same command goes on after an interruption, a kill or a failure, and after files were added. Needs the extra
    `scale`.

    Exit status: 0 if every file has a row, 1 if some have none yet, or the source or the destination failed, 2 if the
    command could not start, 130 if it was interrupted (Ctrl-C, SIGTERM).
    """
    try:
        from service.backfill import local
        from service.backfill.parts import Parts
        from service.backfill.reports import destination_of
        from service.backfill.table import Table
        from service.backfill.work import Progress, Work, fresh, is_archive, is_below, place
    except ImportError as error:
        raise ConfigurationError(f"triage backfill needs {error.name}: install the extra `scale`") from None
    if address and engine == "local":
        raise typer.BadParameter("--address needs --engine ray")
    if authorization_file and not is_archive(source):
        raise typer.BadParameter("--authorization-file is for DICOMweb archives only")
    if is_below(destination, source):
        raise typer.BadParameter("DESTINATION is inside SOURCE: its files would be taken for radiographs")
    from service.artefact.file import load
    from service.objects.kinds import Presentation
    from service.sending.authorization import header_value

    loaded = settings.load()
    artefact = load(loaded.model.path, loaded.model.sha256)
    model = loaded.model.model_copy(update={"sha256": artefact.sha256})  # a node that has another one must not start
    storage = loaded.storage.model_copy(update={"folder": loaded.storage.folder.resolve()})  # the same for each process
    loaded = loaded.model_copy(update={"model": model, "storage": storage})
    has_places = Presentation(loaded.triage.presentation) is Presentation.FULL
    key = _key(loaded.storage.folder) if hash_names else None
    authorization = header_value(authorization_file, "--authorization-file: ") if authorization_file else ""
    done = [*(["stored"] if store else []), *([f"reported to {report_to}"] if report_to else [])]
    table = Table(
        artefact.card.labels,
        artefact.sha256,
        key,
        has_places,
        " and ".join(done) or "nothing",
        place(source),
        loaded.model_dump_json(include={"triage", "gate"}),
    )
    reports = destination_of(loaded, report_to) if report_to else None
    work, progress = Work(loaded, source, destination, table, authorization, reports, store), Progress()
    opened, parts = work.opened(), Parts(destination, table)
    try:
        with sigterm_as_ctrl_c(), parts.reserved(), _reported(progress, opened):
            references = fresh(opened, parts.settle(), table, progress)
            if engine == "local":
                asyncio.run(local.run(work, references, progress))
            else:
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would send usage data to its maker
                os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # it would start a new cluster at the end
                from service.backfill import cluster

                cluster.run(work, references, progress, address)
            parts.settle()
            refusals = parts.refusals()
    except KeyboardInterrupt:
        typer.echo(f"triage: interrupted after {progress.done} files; the same command goes on from there", err=True)
        raise typer.Exit(INTERRUPTED) from None
    typer.echo(f"{parts.name}: {_summary(progress, refusals)}", err=True)
    raise typer.Exit(UNFINISHED if progress.left else 0)


def _key(folder: Path) -> bytes:
    """Return the key of the storage folder, which no service need have used yet."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"the storage folder {folder} cannot be created: {error.strerror}") from None
    return read_or_create_key(folder)


def _summary(progress: "Progress", refusals: dict[str, int]) -> str:
    earlier = f", {progress.known} of them from earlier runs" if progress.known else ""
    text = f"{progress.done} files have a row{earlier}; refused: {_counted(refusals) or 'none'}"
    if not progress.left:
        return text
    number, codes = progress.left.total(), _counted(progress.left)
    return f"{text}; {number} files have none yet ({codes}), and the same command tries them again"


def _counted(codes: Mapping[str, int]) -> str:
    return ", ".join(f"{code} {number}" for code, number in sorted(codes.items(), key=lambda item: -item[1]))


@contextmanager
def _reported(progress: "Progress", source: "Source") -> Iterator[None]:
    """Say every second, or in a log every minute, how far the work is; meanwhile count the files of the source."""
    console, ended, start = Console(stderr=True), threading.Event(), time.monotonic()
    status = console.status("0 files") if console.is_terminal else nullcontext()

    def count() -> None:
        with suppress(TriageError):  # which the run itself reports
            progress.listed = sum(1 for _ in source.references())

    def report() -> None:
        while not ended.wait(_TICK_SECONDS[console.is_terminal]):
            text = position(progress, time.monotonic() - start)
            if isinstance(status, Status):
                status.update(text)
            else:
                console.print(text, markup=False, highlight=False)

    threading.Thread(target=count, name="count", daemon=True).start()
    reporter = threading.Thread(target=report, name="report", daemon=True)
    reporter.start()
    try:
        with status:
            yield
    finally:
        ended.set()
        reporter.join()


def position(progress: "Progress", seconds: float) -> str:
    """Say how many files are done, how fast, and how much time is left."""
    left = progress.left.total()
    new = progress.done - progress.known + left
    rate = new / seconds
    if progress.listed is None or not new:
        return f"{progress.done} files, {rate:.1f} a second"
    rest = timedelta(seconds=round((progress.listed - progress.done - left) / rate))
    return f"{progress.done} of {progress.listed} files, {rate:.1f} a second, {rest} left"
