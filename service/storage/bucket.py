"""Objects in a bucket of S3-compatible storage."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from io import BufferedIOBase
from typing import Any

from service.errors import ConfigurationError, NotFound, Overloaded, StorageFull, TriageError
from service.storage.same_file import CODE
from service.telemetry import log

try:
    from boto3.s3.transfer import TransferConfig
    from boto3.session import Session
    from botocore.config import Config
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        FlexibleChecksumError,
        IncompleteReadError,
        ResponseStreamingError,
    )
except ImportError:
    raise ConfigurationError("TRIAGE_STORAGE__URL needs boto3: install the extra `s3`") from None

from service.storage import bucket_errors  # imports botocore

THREADS = 16  # requests at once; more wait
_PAUSE_SECONDS = 5.0  # a failed request is followed by this pause; senders are told to wait as long
_CONNECT_SECONDS = 3.0
_SILENT_SECONDS = 10.0  # without a byte from the bucket; a large object may take longer as a whole
_PROBE_SECONDS = 2.0  # a readiness probe waits for five
_ATTEMPTS = 3  # by botocore, with growing and random pauses
_PART_BYTES = 16 * 2**20  # a larger file is uploaded in such parts
_PARTS = TransferConfig(multipart_threshold=_PART_BYTES, multipart_chunksize=_PART_BYTES, use_threads=False)


class Bucket:
    """The objects under a prefix of a bucket. Blocking; safe from many threads and processes.

    Every object is stored with its SHA-256. The bucket compares it with what arrives before it confirms an object or a
    part of one, and `get` with what comes back. Once a request has failed, others fail at once for some seconds, so
    that they do not all wait for a bucket that is down; `check` always asks.

    Parameters
    ----------
    url
        `s3://bucket/prefix`
    endpoint
        URL of a server other than AWS. Credentials, region and certificates are found as boto3 finds them.

    Attributes
    ----------
    in_service
        Whether failed requests are logged. Before, they are an error of the start, which says the same.

    Raises
    ------
    ConfigurationError
        boto3's configuration is invalid.
    """

    def __init__(self, url: str, endpoint: str | None = None) -> None:
        self._name, _, prefix = url.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.in_service, self._closed, self._silent_until = False, False, 0.0
        style = {"addressing_style": "path" if endpoint else "auto"}  # a server of one's own has one host name
        patient = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_SILENT_SECONDS,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            max_pool_connections=THREADS,
            s3=style,
        )
        once = {"total_max_attempts": 1}
        impatient = Config(connect_timeout=_PROBE_SECONDS, read_timeout=_PROBE_SECONDS, retries=once, s3=style)
        try:
            session = Session()
            self._client, self._probe = (
                session.client("s3", endpoint_url=endpoint, config=config) for config in (patient, impatient)
            )
        except (BotoCoreError, ValueError) as error:
            raise ConfigurationError(f"TRIAGE_STORAGE__URL: {error}") from None

    def check(self) -> None:
        """Check that the bucket answers.

        Raises
        ------
        Overloaded
            `storage_unavailable`
        """
        with self._asking():
            # HEAD would not say why it is refused.
            self._probe.list_objects_v2(Bucket=self._name, Prefix=self._prefix, MaxKeys=1)

    def check_no_fault(self) -> None:
        """Check that no request has failed just now, without asking the bucket.

        Raises
        ------
        Overloaded
            `storage_unavailable`
        """
        if self._closed:
            raise Overloaded("the service is stopping", CODE)
        if time.monotonic() < self._silent_until:
            raise Overloaded("the bucket could not be used a moment ago", CODE)

    def put(self, key: str, file: BufferedIOBase) -> None:
        """Store a file that can be read twice; it is in the bucket as it is here when this returns.

        Raises
        ------
        Overloaded, StorageFull
            Nothing was confirmed; the bucket may have the object, or parts of it.
        """
        self.check_no_fault()
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        extra = {"ChecksumAlgorithm": "SHA256", "ContentType": "application/dicom", "Metadata": {"sha256": digest}}
        with self._asking():
            self._client.upload_fileobj(file, self._name, self._prefix + key, ExtraArgs=extra, Config=_PARTS)

    def put_new(self, key: str, content: bytes) -> None:
        """Store an object unless there is one; raises as `put`. A server without conditions stores it in any case."""
        self.check_no_fault()
        object = {"Bucket": self._name, "Key": self._prefix + key, "Body": content}
        with self._asking():
            try:
                self._client.put_object(**object, IfNoneMatch="*")
            except ClientError as error:
                if bucket_errors.knows_no_condition(error):
                    self._client.put_object(**object)
                elif not bucket_errors.is_there(error):
                    raise

    def get(self, key: str) -> bytes:
        """Return an object.

        Raises
        ------
        NotFound
        Overloaded
            `storage_unavailable`; also if other bytes came back than were stored.
        """
        self.check_no_fault()
        with self._asking():
            # botocore tries again until an answer begins, not where it breaks off.
            with suppress(ResponseStreamingError, IncompleteReadError, FlexibleChecksumError):
                return self._read(key)
            return self._read(key)

    def delete(self, key: str) -> None:
        """Delete an object, if it exists.

        Raises
        ------
        Overloaded
        """
        self.check_no_fault()
        with self._asking():
            self._client.delete_object(Bucket=self._name, Key=self._prefix + key)

    def older(self, seconds: float) -> Iterator[str]:
        """Return the keys, below the prefix, of the objects that are older, by the bucket's own clock.

        Raises
        ------
        Overloaded
        """
        for page in self._pages("list_objects_v2"):
            before = _clock(page) - timedelta(seconds=seconds)
            for item in page.get("Contents", ()):
                if item["LastModified"] < before:
                    yield item["Key"].removeprefix(self._prefix)

    def abort_older(self, seconds: float) -> int:
        """Delete the parts of uploads that began earlier and never ended, and return the number of uploads.

        Raises
        ------
        Overloaded
        """
        count = 0
        for page in self._pages("list_multipart_uploads"):
            before = _clock(page) - timedelta(seconds=seconds)
            for item in page.get("Uploads", ()):
                if item["Initiated"] < before:
                    upload = {"Key": item["Key"], "UploadId": item["UploadId"]}
                    with suppress(NotFound), self._asking():  # another replica may have aborted it
                        self._client.abort_multipart_upload(Bucket=self._name, **upload)
                        count += 1
        return count

    def close(self) -> None:
        """Send no more requests, and close the connections."""
        self._closed = True
        self._client.close()
        self._probe.close()

    def _read(self, key: str) -> bytes:
        answer = self._client.get_object(Bucket=self._name, Key=self._prefix + key)
        content: bytes = answer["Body"].read()
        digest = hashlib.sha256(content).hexdigest()
        # botocore compares the checksum of an object, but not one of parts. What others have put here has none of ours.
        if answer["Metadata"].get("sha256", digest) != digest:
            raise FlexibleChecksumError(error_msg="not the SHA-256 that was stored")
        return content

    def _pages(self, operation: str) -> Iterator[dict[str, Any]]:
        pages = iter(self._client.get_paginator(operation).paginate(Bucket=self._name, Prefix=self._prefix))
        while True:
            self.check_no_fault()
            with self._asking():
                page = next(pages, None)
            if page is None:
                return
            yield page

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise self._error(error) from None
        self._silent_until = 0.0

    def _error(self, error: BotoCoreError | ClientError) -> TriageError:
        """Return the service's error for one of boto3."""
        if bucket_errors.is_gone(error):
            return NotFound("no such instance")
        reason = bucket_errors.reason(error)
        if self.in_service:
            log().warning("the bucket failed", reason=reason)
        if bucket_errors.is_full(error):
            return StorageFull("the bucket is full")
        if not bucket_errors.is_of_one_transfer(error):
            self._silent_until = time.monotonic() + _PAUSE_SECONDS
        return Overloaded(f"the bucket cannot be used: {reason}", CODE)


def _clock(page: dict[str, Any]) -> datetime:
    """Return the time at which the bucket answered: its objects carry its time, not that of this machine."""
    date = page["ResponseMetadata"]["HTTPHeaders"].get("date")
    return parsedate_to_datetime(date) if date else datetime.now(UTC)
