"""The process of `triage dimse`: its memory limit and its shutdown."""

import os
import resource
import signal
import threading
import warnings

import typer

from service.dimse.acceptor import Acceptor
from service.dimse.counts import REGISTRY
from service.exposition import exposed
from service.settings import Settings
from service.telemetry import describe, log

# A connection has two threads, and with stacks of the usual 8 MiB they would fill the address space. The deepest
# recursion that Python allows, through functions written in C, needs less than 4 MiB.
_STACK_BYTES = 4 * 2**20
STOPS = (signal.SIGTERM, signal.SIGINT)


def run(settings: Settings, grace_seconds: float) -> None:
    """Serve until SIGTERM or SIGINT, then finish the stores in progress.

    Raises
    ------
    ConfigurationError
        As `Acceptor`.
    """
    warnings.simplefilter("ignore")  # pydicom's warnings quote values
    threading.excepthook = _log_failure
    stop = stop_signals()
    bound_memory(settings.dimse.memory_bytes)
    threading.stack_size(_STACK_BYTES)
    with exposed([REGISTRY], settings.metrics, settings.metrics.dimse_port) as metrics_url:
        acceptor = Acceptor(settings.dimse, settings.limits.max_file_bytes)
        typer.echo(f"C-STORE acceptor {settings.dimse.ae_title} on {settings.dimse.host} port {acceptor.port}")
        if metrics_url:
            typer.echo(f"  metrics: {metrics_url}")
        log().info("ready")
        os.read(stop, 1)
        acceptor.close(grace_seconds)


def stop_signals() -> int:
    """Return the end of a pipe that has a byte to read once SIGTERM or SIGINT has come.

    A handler that set an Event could run while the lock of that Event is held, and wait for it for ever; and a signal
    that comes just before a lock is waited for does not end the wait.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in STOPS:
        signal.signal(number, lambda *_: None)
    return reader


def bound_memory(size: int) -> None:
    """Limit the address space of the process to `size` bytes, or to the existing hard limit if that is lower."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = size if hard == resource.RLIM_INFINITY else min(size, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _log_failure(failure: threading.ExceptHookArgs) -> None:
    """Log a thread that failed; a traceback on standard error may quote values."""
    if failure.exc_value is not None:
        log().error("unexpected", **describe(failure.exc_value))
