"""Structured logs on standard error, and the clock of the stages.

What is logged: own ids, codes, counts, milliseconds. Never a value of a data set, a UID, a file name or the text of an
unexpected exception, which may quote any of them.
"""

import logging
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import structlog

HEARD = ("service", "uvicorn.error")  # other libraries' lines may quote values, paths or addresses


def configure(stream: TextIO) -> None:
    """Send every log line to `stream`: in colours if it is a terminal, otherwise one JSON object a line."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    terminal = stream.isatty()
    render = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(stream)
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=[*shared, _redact], processors=[strip, render])
    )
    handler.addFilter(lambda record: record.name in HEARD)
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)


def _redact(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Keep of a library's exception what kind it is and where, not what it says."""
    if isinstance(failure := event.pop("exc_info", None), tuple) and isinstance(failure[1], BaseException):
        event.update(describe(failure[1]))
    return event


def log() -> structlog.stdlib.BoundLogger:
    """The service's logger; the request id is bound by `request`."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("service")
    return logger


@contextmanager
def request(request_id: str) -> Iterator[None]:
    """Bind the id to every line logged inside, also in tasks started there."""
    with structlog.contextvars.bound_contextvars(request_id=request_id):
        yield


def describe(error: BaseException) -> dict[str, object]:
    """An unexpected exception, as fields that quote no value: its class and the frames it came through."""
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    return {"error": type(error).__name__, "frames": frames[-8:]}


class Stopwatch:
    """Writes the milliseconds of the stages of one request into `timings_ms`."""

    def __init__(self, timings_ms: dict[str, float]) -> None:
        self.timings_ms = timings_ms

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done inside."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.timings_ms[name] = round(1e3 * (time.perf_counter() - start), 3)
