"""`triage keys`: manage API keys of clients; the service may be running."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from service import settings

if TYPE_CHECKING:
    from service.storage.keys import Keys

app = typer.Typer(help="Create, list and revoke API keys of clients.", no_args_is_help=True)


@app.command("add")
def add(
    name: Annotated[
        str, typer.Argument(help="Name of the key; appears in the log. The name of a revoked key cannot be used again.")
    ],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="predict|read|admin",
            help="predict: send files and results, mark as read; read: read predictions and images; "
            "admin: delete predictions. May be repeated; default: predict and read.",
        ),
    ] = None,
) -> None:
    """Create a key and print it. Only its hash is stored, so it cannot be shown again."""
    with _keys() as keys:
        token = keys.add(name, scope or ("predict", "read"))
    typer.echo(token)
    typer.echo("This key is not shown again. Clients send it in the header Authorization: Bearer KEY", err=True)


@app.command("list")
def list_keys() -> None:
    """List all keys, including revoked ones, with their scopes."""
    with _keys() as keys:
        rows = keys.list()
    table = Table("name", "scopes", "created", "revoked", box=None, pad_edge=False)
    for key in rows:
        table.add_row(key.name, " ".join(sorted(key.scopes)), _minute(key.created), _minute(key.revoked))
    Console(width=160, highlight=False).print(table)


@app.command("revoke")
def revoke(name: Annotated[str, typer.Argument(help="Name of the key, as `triage keys list` shows it.")]) -> None:
    """Revoke a key; it is refused from the next request on."""
    with _keys() as keys:
        keys.revoke(name)
    typer.echo(f"revoked {name}")


@contextmanager
def _keys() -> "Iterator[Keys]":
    from service.cli.open_records import open_records
    from service.storage.keys import Keys

    with open_records(settings.load()) as records:
        yield Keys(records.database)


def _minute(time: datetime | None) -> str:
    return "" if time is None else time.strftime("%Y-%m-%d %H:%M UTC")
