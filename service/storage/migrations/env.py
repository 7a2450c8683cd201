"""Entry point of Alembic. There is no alembic.ini: `service.storage.database.migrations` configures it."""

from alembic import context

from service.storage.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,  # SQLite can alter a table only by copying it
)
with context.begin_transaction():
    context.run_migrations()
