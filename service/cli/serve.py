"""`triage serve`: the REST service."""

import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service import settings, telemetry
from service.errors import ConfigurationError

if TYPE_CHECKING:
    from service.storage.keys import Keys

GRACE_SECONDS = 30
_FORMER_PROXIES = "FORWARDED_ALLOW_IPS"


def serve(
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Require no API key, even if the service listens on a network address.")
    ] = False,
) -> None:
    """Start the REST service and the web page.

    It is configured by environment variables named TRIAGE_…, which `triage check` lists.
    """
    loaded = settings.load()
    if insecure:
        loaded = loaded.model_copy(update={"http": loaded.http.model_copy(update={"keys": "never"})})
    with _without_collections():
        import uvicorn

        from service.exposition import exposed
        from service.http.app import create_app
        from service.http.auth import requires_keys
        from service.http.connection import KEEP_ALIVE_SECONDS, Connection
        from service.http.connections import connections_of
        from service.http.server import BACKLOG, Server

        application = create_app(loaded)
    pipeline = application.state.pipeline

    async def watch() -> None:
        server.should_exit |= pipeline.failure is not None

    telemetry.configure(sys.stderr, telemetry.read_or_create_key(loaded.storage.folder))
    if os.environ.get(_FORMER_PROXIES) and not loaded.http.proxies:
        telemetry.log().warning(f"{_FORMER_PROXIES} is no longer read; set TRIAGE_HTTP__PROXIES")
    config = uvicorn.Config(
        application,
        http=partial(Connection, connections_of(loaded)),  # type: ignore[arg-type]  # it is called like a class
        ws="none",
        backlog=BACKLOG,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # `http.forwarded` reads them
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        callback_notify=watch,
        timeout_notify=0,
    )
    server = Server(config, application.state.feed)
    with (
        _listen(loaded.http.host, loaded.http.port) as listener,
        exposed(application.state.collectors, loaded.metrics, loaded.metrics.port) as metrics_url,
    ):
        _greet(loaded.http.host, listener.getsockname()[1], metrics_url)
        if requires_keys(loaded.http):
            _announce_first_key(application.state.keys, loaded.storage.folder.resolve() / "first_key")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again once all requests are answered
        with contextlib.suppress(KeyboardInterrupt):
            server.run([listener])
    if pipeline.failure is not None:
        raise pipeline.failure


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Import modules and create objects that stay, without garbage collections meanwhile or of these objects later.

    They would search the same objects again and again, which took a fifth of the processor time of the imports.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server((str(address[0]), port), family=family)
        # asyncio sets this only on sockets that name their protocol. Without it the body of an answer, which follows
        # its head in a packet of its own, may wait 40 ms for the client's delayed acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise ConfigurationError(f"cannot listen on {host} port {port}: {reason}") from None


def _greet(host: str, port: int, metrics_url: str) -> None:
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    typer.echo(f"AG-CNN triage on {address} (research use only; not a medical device)")
    typer.echo(f"  try it:         curl -F file=@samples/pneumothorax.dcm {address}/v1/predictions")
    typer.echo(f"  reader's page:  {address}/")
    typer.echo(f"  API reference:  {address}/docs")
    if metrics_url:
        typer.echo(f"  metrics:        {metrics_url}")


def _announce_first_key(keys: "Keys", file: Path) -> None:
    """Create a first key if there never was one, and print how to read it; the key itself is not printed or logged."""
    keys.add_first(file)
    if file.exists():
        typer.echo("  an API key is required: -H 'Authorization: Bearer KEY'")
        typer.echo(f"  read the first key, then delete its file:  cat {file}")
        typer.echo(f"  or, in a container:  docker compose exec service cat {file}")
    else:
        typer.echo("  an API key is required: -H 'Authorization: Bearer KEY'; `triage keys add` creates one")
