"""What an administrator does beside the running service: `triage keys` and `triage purge`."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from service import settings
from service.errors import ConfigurationError

if TYPE_CHECKING:
    from service.storage.keys import Keys
    from service.storage.records import Records

keys = typer.Typer(help="Keys of clients: who may ask for what.", no_args_is_help=True)


@keys.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Whose it is; the log names it. A name is given once.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="predict|read|admin",
            help="What it may: send files, read results, delete them. May be repeated; by default predict and read.",
        ),
    ] = None,
) -> None:
    """Make a key and print it, this once: only a hash of it is kept."""
    with _keys() as found:
        token = found.add(name, scope or ("predict", "read"))
    typer.echo(token)
    typer.echo("It is shown only now. Clients send it as Authorization: Bearer KEY", err=True)


@keys.command("list")
def list_keys() -> None:
    """List the keys there are and were, without the keys themselves."""
    with _keys() as found:
        rows = found.list()
    table = Table("name", "scopes", "made", "revoked", box=None, pad_edge=False)
    for key in rows:
        table.add_row(key.name, " ".join(sorted(key.scopes)), _day(key.created), _day(key.revoked))
    Console(width=160, highlight=False).print(table)


@keys.command("revoke")
def revoke(name: Annotated[str, typer.Argument(help="As `triage keys list` has it.")]) -> None:
    """Put a key out of force; it opens nothing from the next request on."""
    with _keys() as found:
        found.revoke(name)
    typer.echo(f"revoked {name}")


def purge(
    older_than: Annotated[
        float | None, typer.Option(metavar="DAYS", min=0, max=36_500, help="By default TRIAGE_STORAGE__KEEP_DAYS.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
) -> None:
    """Delete records and instances that are too old, and files that no record names; the service may run meanwhile."""
    from service.storage.instances import Instances
    from service.storage.retention import Retention

    found = settings.load()
    days = found.storage.keep_days if older_than is None else older_than
    if days is None:
        raise ConfigurationError("how old is too old? --older-than DAYS, or TRIAGE_STORAGE__KEEP_DAYS")
    before = datetime.now(UTC) - timedelta(days=days)
    with _records(found) as records:
        retention = Retention(records, Instances(found.storage.folder / "instances"), days)
        gone = retention.expired(before) if dry_run else retention.purge(before)
        orphans = 0 if dry_run else retention.sweep()
    said = "would delete" if dry_run else "deleted"
    typer.echo(f"{said} {gone.records} records, {gone.instances} instances of {gone.bytes} bytes")
    if orphans:
        typer.echo(f"deleted {orphans} files that no record names")


@contextmanager
def _records(found: settings.Settings) -> "Iterator[Records]":
    from service.storage.records import Records

    records = Records(found.database_url)
    records.open()
    try:
        yield records
    finally:
        records.close()


@contextmanager
def _keys() -> "Iterator[Keys]":
    from service.storage.keys import Keys

    with _records(settings.load()) as records:
        yield Keys(records.database)


def _day(time: datetime | None) -> str:
    return "" if time is None else time.strftime("%Y-%m-%d %H:%M UTC")
