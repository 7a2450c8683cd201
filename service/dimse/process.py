"""The process of `triage dimse`: a bound on its memory, and an end in order."""

import resource
import signal
import threading

import typer

from service.dimse.acceptor import Door
from service.settings import Settings
from service.telemetry import log


def run(settings: Settings, grace_seconds: float) -> None:
    """Serve until SIGTERM or SIGINT, then end the stores in hand.

    Raises
    ------
    ConfigurationError
        As `Door`.
    """
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    bound_memory(settings.dimse.memory_bytes)
    door = Door(settings.dimse, settings.limits.max_file_bytes)
    typer.echo(f"C-STORE door {settings.dimse.ae_title} on {settings.dimse.host} port {door.port}")
    log().info("ready")
    ended.wait()
    door.close(grace_seconds)


def bound_memory(size: int) -> None:
    """Keep the process from growing beyond `size` bytes, or the bound it was started under, whichever is less."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = size if hard == resource.RLIM_INFINITY else min(size, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
