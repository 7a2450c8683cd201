import hashlib
import hmac
import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path

import pytest
import structlog

from service.errors import ConfigurationError
from service.telemetry import KEY_FILE, configure, describe, hash_uid, read_key, read_or_create_key, request
from service.telemetry import log as logger


def test_a_line_is_one_json_object_with_the_request_id(log: StringIO) -> None:
    with request("abc"):
        logger().info("predicted", ms=1.5)
    logger().info("after")

    first, second = map(json.loads, log.getvalue().splitlines())
    assert (first["event"], first["ms"], first["request_id"], first["level"]) == ("predicted", 1.5, "abc", "info")
    assert "request_id" not in second
    assert first["time"].endswith("Z")


def test_on_a_terminal_lines_are_not_json(log: StringIO) -> None:
    terminal = StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    configure(terminal)

    logger().info("ready")

    assert "ready" in terminal.getvalue()
    assert "{" not in terminal.getvalue()


@pytest.mark.parametrize("name", ["pydicom", "PIL.Image", "sqlalchemy.engine", "asyncio", "uvicorn.access", "httpx"])
def test_lines_of_other_libraries_are_dropped(log: StringIO, name: str) -> None:
    logging.getLogger(name).critical("Canary")
    logging.getLogger(name).warning("Canary")

    assert log.getvalue() == ""


def test_an_exception_of_the_server_is_logged_without_its_text(log: StringIO) -> None:
    try:
        raise ValueError("Canary")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")

    line = json.loads(log.getvalue())
    assert (line["event"], line["error"]) == ("Exception in ASGI application", "ValueError")
    assert "Canary" not in log.getvalue()


def test_an_error_is_described_without_its_text() -> None:
    def fail() -> None:
        raise KeyError("Canary")

    with pytest.raises(KeyError) as caught:
        fail()

    fields = describe(caught.value)
    assert fields["error"] == "KeyError"
    assert "Canary" not in json.dumps(fields)
    assert json.dumps(fields).rstrip('"]}').endswith("fail")


def test_a_uid_is_logged_as_its_keyed_hash_only(log: StringIO) -> None:
    configure(log, key=b"k" * 32)
    logger().info("predicted", sop_instance_uid="2.25.1003")
    logger().info("refused", sop_instance_uid="")

    first, second = map(json.loads, log.getvalue().splitlines())
    assert first["sop_instance_hash"] == hash_uid("2.25.1003", b"k" * 32)
    assert first["sop_instance_hash"] == hmac.new(b"k" * 32, b"2.25.1003", hashlib.sha256).hexdigest()[:16]
    assert "2.25.1003" not in log.getvalue()
    assert "uid" not in log.getvalue()
    assert "sop_instance_hash" not in second


def test_without_a_key_hashes_differ_between_processes(log: StringIO) -> None:
    for _ in range(2):
        configure(log)
        logger().info("predicted", sop_instance_uid="2.25.1003")

    first, second = (json.loads(line)["sop_instance_hash"] for line in log.getvalue().splitlines())
    assert first != second


def test_a_folder_keeps_its_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a log key"):
        read_key(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(read_or_create_key, [tmp_path] * 64))

    assert keys == {read_key(tmp_path)}
    assert len(keys.pop()) == 32
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "12", "no key", "é"])
def test_an_invalid_key_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / KEY_FILE).write_text(content)

    with pytest.raises(ConfigurationError, match="not a log key"):
        read_or_create_key(tmp_path)


def test_a_folder_that_is_not_writable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        read_or_create_key(tmp_path / "none")


def test_the_request_id_is_unset_at_the_end() -> None:
    with request("abc"):
        pass

    assert "request_id" not in structlog.contextvars.get_contextvars()


def test_a_left_over_that_cannot_be_deleted_does_not_keep_the_service_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "unlink", fail)

    key = read_or_create_key(tmp_path)

    assert read_or_create_key(tmp_path) == key
    assert len(list(tmp_path.glob("log.key.*"))) == 1


@pytest.mark.parametrize("call", ["open", "fsync"])
def test_a_key_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, fail)

    with pytest.raises(ConfigurationError, match=r"log\.key cannot be written: No space left on device"):
        read_or_create_key(tmp_path)
    assert list(tmp_path.iterdir()) == []
