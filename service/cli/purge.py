"""`triage purge`: delete old records and instances; the service may be running."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from service import settings
from service.errors import ConfigurationError


def purge(
    older_than: Annotated[
        float | None,
        typer.Option(
            metavar="DAYS",
            min=0,
            max=36_500,
            help="Age in days above which records are deleted; default: TRIAGE_STORAGE__KEEP_DAYS.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print how many records and instances would be deleted; delete nothing.")
    ] = False,
) -> None:
    """Delete old records with their DICOM files (instances), and files without a record; the service may be running."""
    from service.cli.open_records import open_records
    from service.storage.instance_store import instance_store
    from service.storage.object_cache import ObjectCache
    from service.storage.owner import database_id
    from service.storage.retention import Retention

    loaded = settings.load()
    days = loaded.storage.keep_days if older_than is None else older_than
    if days is None:
        raise ConfigurationError("--older-than is required unless TRIAGE_STORAGE__KEEP_DAYS is set")
    before = datetime.now(UTC) - timedelta(days=days)
    storage = loaded.storage
    with open_records(loaded) as records, closing(instance_store(storage)) as instances:
        objects = ObjectCache(storage.folder / "objects", storage.cache_bytes)
        if not dry_run:
            instances.claim(database_id(records.database))
        retention = Retention(records, instances, objects, days)
        expired = retention.expired(before) if dry_run else retention.purge(before)
        orphans = 0 if dry_run else retention.sweep()
    verb = "would delete" if dry_run else "deleted"
    typer.echo(f"{verb} {expired.records} records, {expired.instances} instances of {expired.bytes} bytes")
    if orphans:
        typer.echo(f"deleted {orphans} files without a record")
