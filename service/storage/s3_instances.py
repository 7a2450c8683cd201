"""The DICOM files as they were received, in a bucket of S3-compatible storage."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from io import BytesIO
from pathlib import Path

from service.errors import ConfigurationError, NotFound, Overloaded, StorageFull, TriageError
from service.storage.bucket import THREADS, Bucket
from service.storage.incoming import Incoming, unwritable
from service.storage.instances import Instances, new_name, place
from service.storage.orphans import Known, without_record
from service.storage.owner import OWNER, check_owner

_KEY = re.compile(r"([0-9a-f]{2})/(\1[0-9a-f]{30}\.dcm)")
_PROOF = b"written at the start, to see whether it can be"
_DAY = 86_400.0


class Spooled(Incoming):
    """A file that arrives in the spool, and is in the bucket once it is kept; `close` deletes it from the spool.

    Parameters
    ----------
    path
        Its place in the spool.
    """

    def __init__(self, path: Path, bucket: Bucket) -> None:
        super().__init__(path)
        self._bucket = bucket

    def sync(self) -> None:
        """Do nothing: what is not in the bucket yet was not acknowledged, and may be lost."""

    def keep(self) -> None:
        """Store the file in the bucket.

        Raises
        ------
        Overloaded, StorageFull
            As `Bucket.put`.
        """
        try:
            with self.partial.open("rb") as file:
                self._bucket.put(place(self.name), file)
        except OSError as error:  # the request was cancelled, and the file is gone
            raise unwritable(error) from error


class S3Instances:
    """The objects of a bucket, and a spool: a folder for the files that are arriving. An `InstanceStore`.

    What a crash leaves behind is deleted: objects without a record and parts of objects by `sweep`, files in the spool
    by `sweep_spool`.

    Parameters
    ----------
    url
        `s3://bucket/prefix`
    spool
        Holds a file from its first byte to its acknowledgement or refusal.
    """

    swept_every = timedelta(days=1)  # ten million objects cost 10,000 requests

    def __init__(self, url: str, bucket: Bucket, spool: Instances) -> None:
        self._url, self._bucket, self._spool = url, bucket, spool
        self.threads = ThreadPoolExecutor(THREADS, "bucket")

    def open(self) -> None:
        """Create the spool, and check that objects can be stored, read, listed and deleted.

        Raises
        ------
        ConfigurationError
        """
        self._spool.open()
        try:
            name = self.put(_PROOF)
            same = self.get(name) == _PROOF
            self.delete(name)
            self._bucket.abort_older(_DAY)  # also to see whether it may
            next(self._bucket.older(0), None)  # likewise; a probe would not wait for a bucket that is slow
        except TriageError as error:
            raise self._unusable(error.message) from None
        if not same:
            raise self._unusable("it returned other bytes than were stored")
        self._bucket.in_service = True

    def claim(self, database: str) -> None:
        """Write the id of a database into a prefix that belongs to none, and check that it belongs to this one.

        Raises
        ------
        ConfigurationError
            The prefix belongs to another database, or cannot be used.
        """
        try:
            with suppress(NotFound):
                return check_owner(self._bucket.get(OWNER), database, self._url)
            self._bucket.put_new(OWNER, f"{database}\n".encode())
            check_owner(self._bucket.get(OWNER), database, self._url)  # another replica may have been faster
        except (NotFound, Overloaded, StorageFull) as error:
            raise self._unusable(error.message) from None

    def check(self) -> str:
        """Check that the bucket answers and a spool could be written, write nothing, and say so in words.

        Raises
        ------
        ConfigurationError
        """
        spool = self._spool.check()
        try:
            self._bucket.check()
        except Overloaded as error:
            raise self._unusable(error.message) from None
        return f"{self._url} answers, and {spool}"

    def check_present(self) -> None:
        """Check that the bucket answers, and that the spool is the folder that was opened.

        Raises
        ------
        Overloaded
            `storage_unavailable`
        """
        self._spool.check_present()
        self._bucket.check()

    def check_room(self) -> None:
        """Check that the spool is there and has room, and that the bucket has not just failed; it is not asked.

        Raises
        ------
        Overloaded
            `storage_unavailable`
        StorageFull
            As `Instances.check_room`.
        """
        self._spool.check_room()
        self._bucket.check_no_fault()

    def receive(self) -> Incoming:
        """Start a file under a random name; the caller closes it.

        Raises
        ------
        StorageFull
        """
        return Spooled(self._spool.new_path(), self._bucket)

    def put(self, data: bytes) -> str:
        """Store a file and return its name; it is in the bucket when this returns.

        Raises
        ------
        Overloaded, StorageFull
        """
        name = new_name()
        self._bucket.put(place(name), BytesIO(data))
        return name

    def path(self, name: str) -> None:
        """Return None: no file is on this disk.

        Raises
        ------
        NotFound
            The name is malformed.
        """
        place(name)

    def get(self, name: str) -> bytes:
        """Return a file.

        Raises
        ------
        NotFound
            There is no such file, or the name is malformed.
        Overloaded
            `storage_unavailable`
        """
        return self._bucket.get(place(name))

    def delete(self, name: str) -> None:
        """Delete a file, if it exists.

        Raises
        ------
        NotFound
            The name is malformed.
        Overloaded
            `storage_unavailable`; without its record, the file is deleted by a later `sweep`.
        """
        self._bucket.delete(place(name))

    def sweep(self, known: Known, older_than: float) -> int:
        """Delete objects without a record, and parts of objects; it lists the whole prefix, a thousand keys a request.

        Parameters
        ----------
        known, older_than
            As those of `Instances.sweep`. The age of an object is by the bucket's own clock.

        Returns
        -------
        int
            Number of what was deleted.

        Raises
        ------
        Overloaded
        """
        count = self._bucket.abort_older(older_than)
        named = ((match[2], key) for key in self._bucket.older(older_than) if (match := _KEY.fullmatch(key)))
        for key in without_record(named, known):
            self._bucket.delete(key)
            count += 1
        return count

    def sweep_spool(self, older_than: float) -> int:
        """Delete the older files that a killed process left in the spool, and return their number."""
        return self._spool.sweep(lambda _: (), older_than)

    def close(self) -> None:
        """Send no more requests."""
        self._bucket.close()
        self.threads.shutdown(wait=False)

    def _unusable(self, reason: str) -> ConfigurationError:
        return ConfigurationError(f"TRIAGE_STORAGE__URL: {self._url}: {reason}")
