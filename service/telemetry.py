"""Structured logs on standard error, and the clock of the stages.

What is logged: own ids, codes, counts, milliseconds. Never a value of a data set, a file name or the text of an
unexpected exception, which may quote either. A UID is logged as its keyed hash, made on the way out: who knows the UID
finds its lines by `triage hash`, who has only the log learns nothing from it.
"""

import hashlib
import hmac
import logging
import os
import secrets
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import structlog

from service.errors import ConfigurationError

HEARD = ("service", "uvicorn.error")  # other libraries' lines may quote values, paths or addresses
KEY_FILE = "log.key"
_KEY_BYTES = 32


def configure(stream: TextIO, key: bytes | None = None) -> None:
    """Send every log line to `stream`: in colours if it is a terminal, otherwise one JSON object a line.

    `key` is that of the hashes of UIDs; without one it is random and dies with the process.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _Pseudonyms(key or secrets.token_bytes(_KEY_BYTES)),
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


class _Pseudonyms:
    """Log processor: a field `sop_instance_uid` leaves as `sop_instance_hash`, and so does any `..._uid`."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __call__(self, _logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        for name in [name for name in event if name.endswith("_uid")]:
            uid = event.pop(name)
            if uid:
                event[name.removesuffix("uid") + "hash"] = hashed(str(uid), self._key)
        return event


def hashed(uid: str, key: bytes) -> str:
    """Hash of a UID as the log has it: 16 hexadecimal digits of HMAC-SHA-256."""
    return hmac.digest(key, uid.encode(), hashlib.sha256).hex()[:16]


def read_key(folder: Path) -> bytes:
    """Read the key of an installation from its storage folder.

    Raises
    ------
    ConfigurationError
        There is none: no service was started on this folder. Or it is not one.
    """
    try:
        key = bytes.fromhex((folder / KEY_FILE).read_text("ascii"))
    except (OSError, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise ConfigurationError(f"{folder / KEY_FILE} is not the key of a log; `triage serve` makes one")
    return key


def find_key(folder: Path) -> bytes | None:
    """Read the key, or None: a process without the storage folder names instances by hashes of its own."""
    return read_key(folder) if (folder / KEY_FILE).exists() else None


def keep_key(folder: Path) -> bytes:
    """Read the key, made first where there is none; of several processes that do so at once, all get the same.

    Raises
    ------
    ConfigurationError
    """
    path = folder / KEY_FILE
    partial = path.with_name(f"{KEY_FILE}.{secrets.token_hex(8)}")
    try:
        if not path.exists():
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(_KEY_BYTES))
            with suppress(FileExistsError):
                path.hardlink_to(partial)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)
    return read_key(folder)


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
