"""Faults of a bucket: of the way to it, of its server, of its permissions; and of the process that uses it."""

import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from io import BytesIO, StringIO
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from service.errors import ConfigurationError, NotFound, Overloaded, StorageFull, TriageError
from service.settings import Storage
from service.storage import bucket as module
from service.storage.bucket import Bucket
from service.storage.instance_store import instance_store
from service.storage.instances import Instances, place
from service.storage.s3_instances import S3Instances
from tests.ports import free_port
from tests.service.s3_server import BUCKET, KEY, SECRET, S3Server, s3_server
from tests.service.sending.certificates import Pki

NAME = f"{'ab' * 16}.dcm"
PLACE = f"ab/{NAME}"
SENT, CHANGED = b"what was sent" + bytes(10_000), b"what was SENT"


@pytest.fixture
def bucket(in_bucket: dict[str, str]) -> Iterator[Bucket]:
    with closing(Bucket(**in_bucket)) as opened:
        yield opened


@pytest.fixture
def store(in_bucket: dict[str, str], bucket: Bucket, tmp_path: Path) -> Iterator[S3Instances]:
    with closing(S3Instances(in_bucket["url"], bucket, Instances(tmp_path / "spool"))) as opened:
        opened.open()
        yield opened


def refused(work: Callable[[], object]) -> str:
    """Return why storage cannot be used."""
    with pytest.raises(Overloaded) as caught:
        work()
    assert caught.value.code == "storage_unavailable"
    return caught.value.message


class Way:
    """A port that leads to another, and changes what goes one way while `find` is set."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.find, self.put, self.passed = b"", b"", 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                there = socket.create_connection(("127.0.0.1", self._to))
                for ends in ((here, there), (there, here)):
                    threading.Thread(target=self._forward, args=ends, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with source, target, suppress(OSError):
            while data := source.recv(2**16):
                if self.find and self.find in data:
                    self.passed += 1
                    data = data.replace(self.find, self.put, 1)
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)


@contextmanager
def way_to(server: S3Server, prefix: str) -> Iterator[tuple[Way, Bucket]]:
    way = Way(server.port)
    with closing(way), closing(Bucket(f"s3://{BUCKET}/{prefix}", f"http://127.0.0.1:{way.port}")) as bucket:
        yield way, bucket


def test_a_file_that_is_changed_on_its_way_is_not_confirmed(s3: S3Server, aws: object, prefix: str) -> None:
    with way_to(s3, prefix) as (way, bucket):
        way.find, way.put = SENT[:13], CHANGED
        refused(lambda: bucket.put(PLACE, BytesIO(SENT)))

        assert way.passed > 0
        assert s3.keys(prefix) == []
        way.find = b""
        bucket.put(PLACE, BytesIO(SENT))  # it was the way, so nothing has to wait
        assert bucket.get(PLACE) == SENT


def test_a_part_that_is_changed_on_its_way_is_not_confirmed(s3: S3Server, aws: object, prefix: str) -> None:
    data = os.urandom(module._PART_BYTES) + SENT
    with way_to(s3, prefix) as (way, bucket):
        way.find, way.put = SENT[:13], CHANGED
        refused(lambda: bucket.put(PLACE, BytesIO(data)))

        assert way.passed > 0
        assert (s3.keys(prefix), s3.uploads(prefix)) == ([], 0)


def test_what_comes_back_changed_is_not_returned(s3: S3Server, aws: object, prefix: str) -> None:
    with way_to(s3, prefix) as (way, bucket):
        bucket.put(PLACE, BytesIO(SENT))
        way.find, way.put = SENT[:13], CHANGED

        assert "FlexibleChecksumError" in refused(lambda: bucket.get(PLACE))
        assert way.passed == 2
        way.find = b""
        assert bucket.get(PLACE) == SENT


def test_what_is_damaged_in_the_bucket_is_not_returned(s3: S3Server, bucket: Bucket, prefix: str) -> None:
    """As where an object of several parts was copied wrongly: its own checksum fits, ours does not."""
    digest = hashlib.sha256(SENT).hexdigest()
    s3.client.put_object(Bucket=BUCKET, Key=f"{prefix}/{PLACE}", Body=CHANGED, Metadata={"sha256": digest})
    assert "FlexibleChecksumError" in refused(lambda: bucket.get(PLACE))


def test_a_file_that_another_program_has_copied_into_the_bucket_is_read(
    s3: S3Server, bucket: Bucket, prefix: str
) -> None:
    s3.client.put_object(Bucket=BUCKET, Key=f"{prefix}/{PLACE}", Body=SENT)
    assert bucket.get(PLACE) == SENT


class Interrupted(BytesIO):
    """A file whose second part cannot be sent."""

    def __init__(self, data: bytes, interrupt: Callable[[], None]) -> None:
        super().__init__(data)
        self._interrupt = interrupt

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() == module._PART_BYTES:
            self._interrupt()
        return super().read(size)


def test_a_server_killed_in_mid_write_confirms_nothing_and_a_sweep_deletes_what_it_has(
    s3: S3Server, store: S3Instances, bucket: Bucket, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = store.put(SENT)
    file = Interrupted(os.urandom(3 * module._PART_BYTES), s3.kill)
    try:
        refused(lambda: bucket.put(PLACE, file))
    finally:
        s3.start()
    assert s3.uploads(prefix) == 1
    assert [key.rpartition("/")[2] for key in s3.keys(prefix)] == [kept]

    store.check_present()
    assert store.sweep({kept}.intersection, 3600) == 0
    assert s3.uploads(prefix) == 1
    monkeypatch.setattr(module, "_clock", lambda _: datetime.now(UTC) + timedelta(hours=2))
    assert store.sweep({kept}.intersection, 3600) == 1
    assert s3.uploads(prefix) == 0
    assert store.get(kept) == SENT


def test_only_older_objects_are_swept(
    s3: S3Server, store: S3Instances, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(b"old")
    time.sleep(1.1)  # the server tells seconds apart
    young = store.put(b"young")
    written = s3.client.head_object(Bucket=BUCKET, Key=f"{prefix}/{place(young)}")["LastModified"]
    monkeypatch.setattr(module, "_clock", lambda _: written + timedelta(seconds=3600))

    assert store.sweep(lambda _: (), 3600) == 1
    assert [key.rpartition("/")[2] for key in s3.keys(prefix)] == [young]


def test_its_own_clock_tells_the_age_of_an_object(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.put(PLACE, BytesIO(SENT))
    answer = next(bucket._pages("list_objects_v2"))

    assert abs(module._clock(answer) - datetime.now(UTC)) < timedelta(minutes=1)
    answer["ResponseMetadata"]["HTTPHeaders"]["date"] = "Tue, 01 Jan 2030 10:00:00 GMT"
    assert module._clock(answer) == datetime(2030, 1, 1, 10, tzinfo=UTC)


def test_a_server_that_is_down_is_noticed_at_once_after_the_first_time(
    s3: S3Server, store: S3Instances, log: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 600.0)
    kept = store.put(SENT)
    with s3.down():
        assert "ConnectionError" in refused(lambda: store.get(kept))
        for work in (store.check_room, lambda: store.put(SENT), lambda: store.get(kept), lambda: store.delete(kept)):
            assert refused(work) == "the bucket could not be used a moment ago"
        assert "ConnectionError" in refused(store.check_present)

    store.check_present()  # as a readiness probe does
    store.check_room()
    assert store.get(kept) == SENT
    assert [json.loads(line)["event"] for line in log.getvalue().splitlines()] == ["the bucket failed"] * 2
    assert SECRET not in log.getvalue()
    assert KEY not in log.getvalue()


def test_a_server_that_does_not_answer_is_waited_for_a_bounded_time(
    s3: S3Server, in_bucket: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_SILENT_SECONDS", "_PROBE_SECONDS"):
        monkeypatch.setattr(module, name, 0.5)
    with closing(Bucket(**in_bucket)) as bucket, s3.frozen():
        assert "ReadTimeoutError" in refused(bucket.check)
        bucket._silent_until = 0.0
        begin = time.monotonic()
        assert "ReadTimeoutError" in refused(lambda: bucket.put(PLACE, BytesIO(SENT)))
        assert time.monotonic() - begin < 30


def test_a_closed_bucket_is_not_asked(bucket: Bucket) -> None:
    bucket.close()
    assert refused(lambda: bucket.get(PLACE)) == "the service is stopping"


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("NoSuchKey", 404, NotFound),
        ("NoSuchBucket", 404, Overloaded),
        ("AccessDenied", 403, Overloaded),
        ("SlowDown", 503, Overloaded),
        ("QuotaExceeded", 403, StorageFull),
        ("XMinioStorageFull", 507, StorageFull),
        ("anything else", 507, StorageFull),
        ("Canary^Tweety", 500, Overloaded),
    ],
)
def test_each_answer_is_an_error_of_the_service(
    bucket: Bucket, log: StringIO, code: str, status: int, kind: type[TriageError]
) -> None:
    answer = {"Error": {"Code": code, "Message": "Canary"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    bucket.in_service = True
    with pytest.raises(kind) as caught, bucket._asking():
        raise ClientError(answer, "PutObject")
    assert "Canary" not in caught.value.message + log.getvalue()


def opening(tmp_path: Path, **settings: str) -> str:
    """Return the one line that says why a store cannot be opened."""

    def open_it() -> None:
        with closing(instance_store(Storage(folder=tmp_path, **settings))) as store:
            store.open()

    with pytest.raises(ConfigurationError) as caught:
        open_it()
    assert "\n" not in caught.value.message
    assert SECRET not in caught.value.message
    assert caught.value.message.startswith("TRIAGE_STORAGE__URL: ")
    return caught.value.message


@pytest.mark.parametrize("fault", ["down", "bucket", "key", "secret", "no credentials", "half of them"])
def test_a_bucket_that_cannot_be_used_is_refused_at_the_start(
    in_bucket: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    expected = {"down": "ConnectionError", "bucket": "NoSuchBucket", "key": "InvalidAccessKeyId"}
    expected |= {"secret": "SignatureDoesNotMatch", "no credentials": "NoCredentialsError", "half of them": "Partial"}
    if fault == "down":
        in_bucket["endpoint"] = f"http://127.0.0.1:{free_port()}"
    elif fault == "bucket":
        in_bucket["url"] = "s3://another-bucket"
    elif fault == "key":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "UNKNOWN")
    elif fault == "secret":
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    else:
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        if fault == "no credentials":
            monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert expected[fault] in opening(tmp_path, **in_bucket)


def test_a_start_waits_longer_than_a_probe(
    in_bucket: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gives_up(_: Bucket) -> None:
        raise Overloaded("ReadTimeoutError", "storage_unavailable")

    monkeypatch.setattr(Bucket, "check", gives_up)
    with closing(instance_store(Storage(folder=tmp_path, **in_bucket))) as store:
        store.open()


def test_a_server_is_believed_by_its_certificate_only(
    aws: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_CONNECT_SECONDS", "_SILENT_SECONDS", "_PROBE_SECONDS"):  # what is refused is refused at once
        monkeypatch.setattr(module, name, 60.0)
    folder = tmp_path / "server"
    folder.mkdir()
    pki = Pki(folder)
    with s3_server(folder, pki) as server:
        settings = {"url": f"s3://{BUCKET}", "endpoint": server.address}
        assert "SSLError" in opening(tmp_path, **settings)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(pki.other_ca.certificate))
        assert "SSLError" in opening(tmp_path, **settings)

        monkeypatch.setenv("AWS_CA_BUNDLE", str(pki.ca.certificate))
        with closing(instance_store(Storage(folder=tmp_path, **settings))) as store:
            store.open()
            with closing(store.receive()) as file:
                file.write([os.urandom(module._PART_BYTES + 1)])
                file.keep()
                assert store.get(file.name) == file.partial.read_bytes()


def test_credentials_may_be_in_a_file(
    in_bucket: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    secret = tmp_path / "s3_credentials"
    secret.write_text(f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(secret))
    with closing(instance_store(Storage(folder=tmp_path, **in_bucket))) as store:
        store.open()
