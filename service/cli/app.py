"""The command `triage`: serve, dimse, predict, check."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from service import settings, telemetry
from service.cli import keys as administration
from service.errors import ConfigurationError, StartupError, TriageError

if TYPE_CHECKING:
    from service.storage.keys import Keys

# What is heavy is imported by the command that needs it: `--help` is quick, and so are the decoder processes, each of
# which imports this file again.

REFUSED, NOT_STARTED = 1, 2
GRACE_SECONDS = 30

app = typer.Typer(
    help="Chest X-ray triage with an attention-guided CNN. Research use only, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they would print values of data sets
)
app.add_typer(administration.keys, name="keys")
app.command()(administration.purge)


def main() -> None:
    """Run a command; what keeps it from starting is one line and exit status 2."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime sends usage data to its maker; read when it is imported
    telemetry.configure(sys.stderr)
    try:
        app(prog_name="triage")
    except TriageError as error:
        typer.echo(f"triage: {' '.join(error.message.split())}", err=True)
        sys.exit(NOT_STARTED if isinstance(error, StartupError) else REFUSED)


@app.callback(invoke_without_command=True)
def _options(
    show: Annotated[bool, typer.Option("--version", help="Say which version this is, and end.", is_eager=True)] = False,
) -> None:
    if show:
        typer.echo(version("agcnn-triage"))
        raise typer.Exit


@app.command()
def serve(
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Ask nobody for a key, whatever address is listened on.")
    ] = False,
) -> None:
    """Start the REST service. Variables named TRIAGE_… set it up; `triage check` lists them."""
    import uvicorn

    from service.http.app import create_app
    from service.http.auth import asks_for_keys
    from service.http.server import Server

    found = settings.load()
    if insecure:
        found = found.model_copy(update={"http": found.http.model_copy(update={"keys": "never"})})
    application = create_app(found)
    pipeline = application.state.pipeline

    async def watch() -> None:
        server.should_exit |= pipeline.failure is not None

    telemetry.configure(sys.stderr, telemetry.keep_key(found.storage.folder))
    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        callback_notify=watch,
        timeout_notify=0,
    )
    server = Server(config, pipeline)
    listener = _listen(found.http.host, found.http.port)
    _greet(found.http.host, listener.getsockname()[1])
    if asks_for_keys(found.http):
        _tell_first_key(pipeline.keys, found.storage.folder.resolve() / "first_key")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again once all requests are answered
    with contextlib.suppress(KeyboardInterrupt):
        server.run([listener])
    if pipeline.failure is not None:
        raise pipeline.failure


@app.command()
def predict(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE|FOLDER...", help="DICOM files, or folders of them.")],
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line, as the service answers.")] = False,
    csv_table: Annotated[bool, typer.Option("--csv", help="A table of the probabilities.")] = False,
    overlay: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw a PNG of each file in this folder.")] = None,
) -> None:
    """Predict DICOM files without a server; nothing is kept.

    Of a folder, files named .dcm, .dicom or .ima and those with a DICOM preamble are taken. Exit status: 0 all done, 1
    some refused or without their picture, 2 could not start.
    """
    if json_lines and csv_table:
        raise typer.BadParameter("--json or --csv, not both")
    from service.cli import predict as batch

    form: batch.Format = "json" if json_lines else "csv" if csv_table else "words"
    refused = asyncio.run(batch.run(settings.load(), batch.files(paths), overlay, form))
    raise typer.Exit(REFUSED if refused else 0)


@app.command()
def dimse() -> None:
    """Start the C-STORE door, which hands on to the REST service. Variables named TRIAGE_DIMSE__… set it up."""
    from service.dimse import process

    found = settings.load()
    telemetry.configure(sys.stderr, telemetry.find_key(found.storage.folder))
    process.run(found, GRACE_SECONDS)


@app.command("hash")
def hash_uid(
    uids: Annotated[list[str], typer.Argument(metavar="UID...", help="SOP Instance UIDs.", show_default=False)],
) -> None:
    """Say what the log calls an instance, to find its lines: `sop_instance_hash`.

    The key lies in the storage folder: the same UID has another hash in another installation.
    """
    key = telemetry.read_key(settings.load().storage.folder)
    for uid in uids:
        typer.echo(telemetry.hashed(uid.strip(), key))


@app.command()
def check() -> None:
    """Say whether configuration, artefact, provider, storage and database are sound, and list the settings."""
    failures: list[StartupError] = []
    try:
        found: settings.Settings | None = settings.load()
    except ConfigurationError as error:
        found = None
        failures.append(error)
    _list_settings(found)
    if found is not None:
        typer.echo("configuration: sound")
        failures += asyncio.run(_rehearse(found))
    if failures:
        raise failures[0]


def _list_settings(found: settings.Settings | None) -> None:
    table = Table("variable", "value", "what it is", box=None, pad_edge=False)
    for variable in settings.variables(found):
        default = "" if variable.value == variable.default else f" (default {variable.default or 'none'})"
        table.add_row(variable.name, variable.value + default, variable.description)
    Console(width=160, highlight=False).print(table, "")


async def _rehearse(found: settings.Settings) -> list[StartupError]:
    """Start as `predict` would, saying what is sound; what is not, is given back."""
    from service.cli.predict import with_workers
    from service.prediction.predictor import Analyser
    from service.storage.database import Database

    try:
        analyser = Analyser(with_workers(found, 1))
        typer.echo(f"artefact: sound, {analyser.artefact.card.name} {analyser.artefact.card.version}")
        typer.echo(f"          SHA-256 {analyser.artefact.sha256}")
        async with analyser.running() as session:
            typer.echo(f"provider: sound, {session.provider} ({session.reason}); the golden self-test passed")
        _check_writable(found.storage.folder)
        typer.echo(f"storage: sound, {found.storage.folder.resolve()} can be written")
        typer.echo(f"database: sound, {Database(found.database_url).check()}")
    except StartupError as error:
        return [error]
    return []


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server((str(address[0]), port), family=family)
    except OSError as error:
        why = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise ConfigurationError(f"cannot listen on {host} port {port}: {why}") from None


def _greet(host: str, port: int) -> None:
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    typer.echo(f"AG-CNN triage on {address} (research use only; not a medical device)")
    typer.echo(f"  try it:   curl -F file=@samples/pneumothorax.dcm {address}/v1/predictions")
    typer.echo(f"  look:     {address}/")
    typer.echo(f"  read it:  {address}/docs")


def _tell_first_key(keys: "Keys", file: Path) -> None:
    """Make a key where there never was one, and say how to read it; it is in no output and in no log."""
    keys.add_first(file)
    if file.exists():
        typer.echo(
            "  a key is wanted: -H 'Authorization: Bearer KEY'; the first one is in a file, to be deleted once read"
        )
        typer.echo(f"  read it:  cat {file}")
        typer.echo(f"  or, in a container:  docker compose exec service cat {file}")
    else:
        typer.echo("  a key is wanted: -H 'Authorization: Bearer KEY'; `triage keys add` makes one")


def _check_writable(folder: Path) -> None:
    nearest = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        raise ConfigurationError(f"{folder.resolve()} is not a folder that can be written")
