"""Where the DICOM files are: a folder, or a bucket of S3-compatible storage."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import copy_context
from datetime import timedelta
from pathlib import Path
from typing import Protocol, TypeVar

from service.settings import Storage
from service.storage.incoming import Incoming
from service.storage.instances import Instances
from service.storage.orphans import Known

Result = TypeVar("Result")


class InstanceStore(Protocol):
    """What `Instances` and `S3Instances` have in common; they say what each method raises."""

    @property
    def threads(self) -> Executor | None:
        """Threads for what waits for a network, so that nothing else waits with it; None: nothing does."""

    @property
    def swept_every(self) -> timedelta:
        """Time after which one of the replicas is to sweep the store."""

    def open(self) -> None:
        """Make what is missing, and check that the store can be used."""

    def claim(self, database: str) -> None:
        """Check that the store belongs to the database with an id; one that belongs to none is this one's from then on.

        Nothing may be swept before.
        """

    def check(self) -> str:
        """Check as far as this is possible without writing, and say in words what was found."""

    def check_present(self) -> None:
        """Check that the store is there."""

    def check_room(self) -> None:
        """Check, without waiting for a network, that a file can be accepted."""

    def receive(self) -> Incoming:
        """Start a file; the caller writes it, keeps it or not, and closes it."""

    def path(self, name: str) -> Path | None:
        """Return where a file is if it exists; None: it is not on this disk."""

    def get(self, name: str) -> bytes:
        """Return a file."""

    def delete(self, name: str) -> None:
        """Delete a file, if it exists."""

    def sweep(self, known: Known, older_than: float) -> int:
        """Delete what is older and has no record, and return how much it was."""

    def sweep_spool(self, older_than: float) -> int:
        """Delete what is older where files arrive, if that is not the store, and return how much it was."""

    def close(self) -> None:
        """Ask for nothing more."""


def instance_store(storage: Storage) -> InstanceStore:
    """Return the store that the settings name; nothing is opened yet.

    Raises
    ------
    ConfigurationError
        The extra `s3` is not installed, or boto3's configuration is invalid.
    """
    if storage.url is None:
        return Instances(storage.folder / "instances", storage.min_free_bytes)
    from service.storage.bucket import Bucket  # imports boto3
    from service.storage.s3_instances import S3Instances

    spool = Instances(storage.folder / "spool", storage.min_free_bytes)
    return S3Instances(storage.url, Bucket(storage.url, storage.endpoint), spool)


async def in_thread(store: InstanceStore, function: Callable[..., Result], *arguments: object) -> Result:
    """Call a function that waits for a store, in one of its threads if it has any; raises as the function."""
    run = copy_context().run
    return await asyncio.get_running_loop().run_in_executor(store.threads, run, function, *arguments)
