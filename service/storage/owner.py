"""To which database a store of instances belongs: to one, as what has no record in it is deleted from the store."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa

from service.errors import ConfigurationError
from service.private_file import write_private
from service.storage.database import Database
from service.storage.tables import STORE

OWNER = "owner"  # the file or object that holds the id of the database; earlier versions pass over it


def database_id(database: Database) -> str:
    """Return the random id of a database, which a backup of it has, too."""
    with database.read() as connection:
        return str(connection.execute(sa.select(STORE.c.id)).scalar_one())


def claim_folder(folder: Path, id: str) -> None:
    """Write the id of a database into a folder that belongs to none, and check that the folder belongs to this one.

    A folder that does not exist belongs to no database, and is not made.

    Raises
    ------
    ConfigurationError
        The folder belongs to another database, or cannot be read or written.
    """
    path = folder / OWNER
    try:
        if not folder.exists():
            return
        if not path.exists():
            _write_new(path, f"{id}\n".encode())
        check_owner(path.read_bytes(), id, f"the storage folder {folder}")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be used: {error.strerror}") from None


def check_owner(content: bytes, id: str, where: str) -> None:
    """Check that a store belongs to the database with an id.

    Parameters
    ----------
    content
        Of the file or object `OWNER`.
    where
        The store, in messages.

    Raises
    ------
    ConfigurationError
    """
    if content.strip() != id.encode():
        raise ConfigurationError(
            f"{where} belongs to another database, as its `{OWNER}` says: two services would delete each other's files."
            f" Give this one a folder or prefix of its own; or, if no service uses the other database, delete `{OWNER}`"
        )


def _write_new(path: Path, content: bytes) -> None:
    """Write a file, unless another replica is faster; it is never seen half written."""
    partial = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        write_private(partial, content)
        try:
            os.link(partial, path)  # unlike a move, it fails if there is a file
        except FileExistsError:
            return
        except OSError:  # a file system without hard links
            if not path.exists():
                partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
