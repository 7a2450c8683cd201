"""The command `triage`.

Each command imports heavy modules only when it runs, so that `--help` stays quick.
"""

import asyncio
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from service import settings, telemetry
from service.cli import keys
from service.cli.check import check
from service.cli.purge import purge
from service.cli.serve import GRACE_SECONDS, serve
from service.errors import StartupError, TriageError

REFUSED, NOT_STARTED = 1, 2

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
        sys.exit(NOT_STARTED if isinstance(error, StartupError) else REFUSED)


@app.callback(invoke_without_command=True)
def _options(
    show: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    if show:
        typer.echo(version("agcnn-triage"))
        raise typer.Exit


@app.command()
def predict(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE|FOLDER...", help="DICOM files, or folders of them.")],
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line, in the format of the REST API.")
    ] = False,
    csv_table: Annotated[bool, typer.Option("--csv", help="Print a CSV table of the probabilities.")] = False,
    overlay: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a PNG of each file, with its heat map, to this folder.")
    ] = None,
) -> None:
    """Predict DICOM files without a server; nothing is stored.

    In a folder, files named .dcm, .dicom or .ima and files with a DICOM preamble are predicted. Exit status: 0 if all
    files were predicted, 1 if some were refused or have no picture, 2 if the command could not start.
    """
    if json_lines and csv_table:
        raise typer.BadParameter("--json and --csv exclude each other")
    from service.cli import predict as batch

    form: batch.Format = "json" if json_lines else "csv" if csv_table else "words"
    refused = asyncio.run(batch.run(settings.load(), batch.files(paths), overlay, form))
    raise typer.Exit(REFUSED if refused else 0)


@app.command()
def dimse() -> None:
    """Start the C-STORE acceptor, which forwards to the REST service. Settings: variables named TRIAGE_DIMSE__…."""
    from service.dimse import process

    loaded = settings.load()
    telemetry.configure(sys.stderr, telemetry.find_key(loaded.storage.folder))
    process.run(loaded, GRACE_SECONDS)


@app.command("hash")
def hash_uid(
    uids: Annotated[list[str], typer.Argument(metavar="UID...", help="SOP Instance UIDs.", show_default=False)],
) -> None:
    """Print the hash of a UID as it appears in the log (`sop_instance_hash`), to find the lines of an instance.

    The hash depends on a key in the storage folder, so each installation has its own hashes.
    """
    key = telemetry.read_key(settings.load().storage.folder)
    for uid in uids:
        typer.echo(telemetry.hash_uid(uid.strip(), key))


app.command()(check)
app.add_typer(keys.app, name="keys")
app.command()(purge)
