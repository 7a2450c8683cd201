"""`triage migrate`: bring the database to this version's schema before a replica starts."""

import typer

from service import settings


def migrate() -> None:
    """Create or migrate the tables of the database, and print their revision.

    `triage serve` does the same when it starts. Run this before, where a start must not take long.
    """
    from alembic.runtime.migration import MigrationContext

    from service.cli.open_records import open_records

    with open_records(settings.load()) as records, records.database.read() as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
    typer.echo(f"the database is at revision {revision}")
