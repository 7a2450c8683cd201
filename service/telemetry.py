"""Structured logs on standard error.

Log lines contain the service's own ids, codes, counts and milliseconds. They never contain a value of a data set, a
file name or the text of an unexpected exception, which may quote either. A UID is replaced by its keyed hash: with the
UID and the key, `triage hash` finds its lines; from the log alone, the UID cannot be recovered.
"""

import hashlib
import hmac
import logging
import secrets
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import structlog

from service.errors import ConfigurationError
from service.private_file import write_private

LOGGERS = ("service", "uvicorn.error")  # those of other libraries are dropped: they may quote values, paths, addresses
KEY_FILE = "log.key"
_KEY_BYTES = 32


def configure(stream: TextIO, key: bytes | None = None) -> None:
    """Write log lines to `stream`: in colours if it is a terminal, otherwise one JSON object per line.

    Parameters
    ----------
    key
        Key of the hashes of UIDs; by default a random one, which is lost when the process ends.
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
    handler.addFilter(lambda record: record.name in LOGGERS)
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)


def _redact(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Replace a library's exception by its class and place; its text may quote values."""
    if isinstance(failure := event.pop("exc_info", None), tuple) and isinstance(failure[1], BaseException):
        event.update(describe(failure[1]))
    return event


class _Pseudonyms:
    """Log processor: replaces each field `..._uid` by `..._hash`, the keyed hash of the UID."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __call__(self, _logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        for name in [name for name in event if name.endswith("_uid")]:
            uid = event.pop(name)
            if uid:
                event[name.removesuffix("uid") + "hash"] = hash_uid(str(uid), self._key)
        return event


def hash_uid(uid: str, key: bytes) -> str:
    """Return the hash of a UID in the log: the first 16 hexadecimal digits of HMAC-SHA-256."""
    return hmac.digest(key, uid.encode(), hashlib.sha256).hex()[:16]


def read_key(folder: Path) -> bytes:
    """Read the key for hashes of UIDs from the storage folder.

    Raises
    ------
    ConfigurationError
        The key file is missing (no service was started with this folder) or invalid.
    """
    try:
        key = bytes.fromhex((folder / KEY_FILE).read_text("ascii"))
    except (OSError, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise ConfigurationError(f"{folder / KEY_FILE} is missing or not a log key; `triage serve` creates it")
    return key


def find_key(folder: Path) -> bytes | None:
    """Read the key, or return None where there is none, as in a process without access to the storage folder.

    Raises
    ------
    ConfigurationError
        The key file is invalid.
    """
    return read_key(folder) if (folder / KEY_FILE).exists() else None


def read_or_create_key(folder: Path) -> bytes:
    """Read the key, and create it first if there is none; several processes at once all get the same key.

    Raises
    ------
    ConfigurationError
        The key file cannot be written, or is invalid.
    """
    path = folder / KEY_FILE
    if not path.exists():
        partial = path.with_name(f"{KEY_FILE}.{secrets.token_hex(8)}")
        try:
            write_private(partial, secrets.token_hex(_KEY_BYTES).encode())
            with suppress(FileExistsError):
                path.hardlink_to(partial)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
        finally:
            with suppress(OSError):  # it is of no use, and does no harm
                partial.unlink(missing_ok=True)
    return read_key(folder)


def log() -> structlog.stdlib.BoundLogger:
    """Return the service's logger."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("service")
    return logger


@contextmanager
def request(request_id: str) -> Iterator[None]:
    """Add the request id to every line logged inside, also by tasks started there."""
    with structlog.contextvars.bound_contextvars(request_id=request_id):
        yield


def describe(error: BaseException) -> dict[str, object]:
    """Return log fields of an unexpected exception that quote no value: its class and its innermost frames."""
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    return {"error": type(error).__name__, "frames": frames[-8:]}
