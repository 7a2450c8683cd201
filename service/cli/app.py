"""The command `triage`.

Each command imports heavy modules only when it runs, so that `--help` stays quick.
"""

import asyncio
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service import settings, telemetry
from service.cli import keys
from service.cli.backfill import backfill
from service.cli.check import check
from service.cli.interruption import sigterm_as_ctrl_c
from service.cli.migrate import migrate
from service.cli.purge import purge
from service.cli.serve import GRACE_SECONDS, serve
from service.cli.status import INTERRUPTED, NOT_STARTED, UNFINISHED
from service.errors import StartupError, TriageError

if TYPE_CHECKING:
    from service.cli.formats import Format

app = typer.Typer(
    help="Chest X-ray triage with an attention-guided CNN. Research use only, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they would print values of data sets
)
app.command()(serve)


def main() -> None:
    """Run a command; an error that prevents its start is one line and exit status 2."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime sends usage data to its maker; read when it is imported
    telemetry.configure(sys.stderr)
    try:
        app(prog_name="triage")
    except TriageError as error:
        typer.echo(f"triage: {' '.join(error.message.split())}", err=True)
        sys.exit(NOT_STARTED if isinstance(error, StartupError) else UNFINISHED)


@app.callback(invoke_without_command=True)
def _options(
    show: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    if show:
        typer.echo(version("agcnn-triage"))
        raise typer.Exit


@app.command()
def predict(  # noqa: PLR0913 - options
    paths: Annotated[list[Path], typer.Argument(metavar="FILE|FOLDER...", help="DICOM files, or folders of them.")],
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per file and line, as the REST API returns it.")
    ] = False,
    csv_table: Annotated[
        bool, typer.Option("--csv", help="Print a CSV table with the priority and the probabilities of each file.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Add the lines of --json or --csv to this file, and predict only files that have none in it.",
        ),
    ] = None,
    parquet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the table to this Parquet file, and predict only files that have no row in it; needs pyarrow.",
        ),
    ] = None,
    overlay: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write the overlay of each file, a PNG with the map of the finding that made the priority, here.",
        ),
    ] = None,
    as_chest: Annotated[
        bool,
        typer.Option(
            "--as-chest",
            help="Predict PNG and JPEG pictures, too. It is assumed, not checked, that each is a frontal chest "
            "radiograph, upright and with black air. The flag assumed_chest marks their results.",
        ),
    ] = False,
) -> None:
    """Predict the findings in DICOM files without a server, on all processors.

    Without --json, --csv and --parquet, prints a summary of each file. In a folder and the folders below it, the files
    named .dcm, .dicom or .ima and those with a DICOM preamble are predicted; with --as-chest also those named .png,
    .jpg or .jpeg.

    Exit status: 0 if every file was predicted, 1 if a file was refused or its overlay could not be written, 2 if the
    command could not start, 130 if it was interrupted (Ctrl-C, SIGTERM). What was printed by then is complete. With
    --output or --parquet the same command goes on after an interruption, a kill or a failure, and after files were
    added; it tries again files that could not be read, or failed through no fault of their own.
    """
    forms: dict[Format, bool] = {"json": json_lines, "csv": csv_table, "parquet": parquet is not None}
    chosen = [form for form, is_chosen in forms.items() if is_chosen]
    if len(chosen) > 1:
        raise typer.BadParameter("--json, --csv and --parquet exclude each other")
    if output and chosen not in (["json"], ["csv"]):
        raise typer.BadParameter("--output needs --json or --csv")
    kept, done = output or parquet, ""
    try:
        from service.cli import predict as batch
        from service.cli.listing import files

        listed = files(paths, as_chest)
        job = batch.Job(chosen[0] if chosen else "words", kept, overlay, as_chest)
        with sigterm_as_ctrl_c():
            tally = asyncio.run(batch.run(settings.load(), listed, job))
        if not tally.interrupted:
            if kept:
                typer.echo(f"{kept}: {tally.summary()}", err=True)
            raise typer.Exit(UNFINISHED if tally.failed else 0)
        done = f" after {tally.done} of {len(listed)} files"
        done += "; the same command goes on from there" if kept else ""
    except KeyboardInterrupt:  # before or after the event loop, or for the second time
        pass
    start_of_line = "\r" if sys.stderr.isatty() else ""  # a terminal has written ^C there
    typer.echo(f"{start_of_line}triage: interrupted{done}", err=True)
    raise typer.Exit(INTERRUPTED)


@app.command()
def dimse() -> None:
    """Start the C-STORE acceptor, which forwards each file to the REST service.

    It is configured by environment variables named TRIAGE_DIMSE__…, which `triage check` lists.
    """
    from service.dimse import process

    loaded = settings.load()
    telemetry.configure(sys.stderr, telemetry.find_key(loaded.storage.folder))
    process.run(loaded, GRACE_SECONDS)


@app.command("hash")
def hash_uid(
    uids: Annotated[
        list[str], typer.Argument(metavar="UID...", help="SOP Instance UIDs of the instances.", show_default=False)
    ],
) -> None:
    """Print the hash that stands for an instance in the log, `sop_instance_hash`.

    The hash depends on a key in the storage folder, so each installation has its own hashes.
    """
    key = telemetry.read_key(settings.load().storage.folder)
    for uid in uids:
        typer.echo(telemetry.hash_uid(uid.strip(), key))


app.command()(backfill)
app.command()(check)
app.command()(migrate)
app.add_typer(keys.app, name="keys")
app.command()(purge)
