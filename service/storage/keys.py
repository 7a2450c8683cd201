"""API keys: who may ask for what. Kept as hashes; a key itself is seen once, by who made it.

The hash is one SHA-256, without salt. Slow and salted hashes protect secrets that people choose, which can be guessed;
a key is 256 random bits, which cannot be, however fast the hash. So a key is found by its hash in an index, and how
long that takes tells nothing of a key.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from service.errors import ConfigurationError, NotFound
from service.storage.database import Database
from service.storage.tables import KEYS

Scope = Literal["predict", "read", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
FIRST = "first"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")  # names are logged
_TOKEN = re.compile(r"triage_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Key:
    """What is known of a key.

    Attributes
    ----------
    name
        Of one key for ever, so that a line in a log names one: not given again after `revoke`.
    revoked
        When, or None.
    """

    name: str
    scopes: frozenset[Scope]
    created: datetime
    revoked: datetime | None = None


class Keys:
    """The table of keys. Blocking; safe from many threads, processes and replicas.

    Parameters
    ----------
    database
        Open.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, scopes: Collection[str]) -> str:
        """Make a key, `triage_` and 43 characters, which nothing can tell again.

        Raises
        ------
        ConfigurationError
            The name is not one, or was given before; a scope is not one, or there is none.
        """
        if not _NAME.fullmatch(name):
            raise ConfigurationError("a key's name: 1 to 64 letters, digits, dots, hyphens or underscores wanted")
        if not scopes or not set(scopes) <= set(SCOPES):
            raise ConfigurationError(f"a key's scopes: some of {', '.join(SCOPES)} wanted")
        token = _new_token()
        try:
            with self._database.write() as connection:
                _insert(connection, name, scopes, token)
        except IntegrityError:
            raise ConfigurationError(f"there is or was a key named {name}; a name is given once") from None
        return token

    def add_first(self, file: Path) -> bool:
        """Make a key with every scope if there never was any, and write it to `file`, for its owner only.

        Of replicas that do so at once, one does.

        Raises
        ------
        ConfigurationError
            The file cannot be written; then there is no key either.
        """
        token = _new_token()
        try:
            with self._database.write() as connection:
                if connection.scalar(sa.select(sa.exists().select_from(KEYS))):
                    return False
                _insert(connection, FIRST, SCOPES, token)
                _write(file, token)
        except IntegrityError:
            return False
        except OSError as error:
            raise ConfigurationError(f"the first key cannot be written to {file}: {error.strerror}") from None
        return True

    def find(self, token: str) -> Key | None:
        """Find a key that is in force."""
        if not _TOKEN.fullmatch(token):
            return None
        wanted = (KEYS.c.digest == _digest(token)) & KEYS.c.revoked.is_(None)
        with self._database.read() as connection:
            row = connection.execute(sa.select(KEYS).where(wanted)).one_or_none()
        return None if row is None else _key(row)

    def list(self) -> tuple[Key, ...]:
        """Every key there ever was, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(KEYS).order_by(KEYS.c.created, KEYS.c.name))
            return tuple(map(_key, rows))

    def revoke(self, name: str) -> None:
        """Put a key out of force, from the next request on, in every replica.

        Raises
        ------
        NotFound
            No key in force has this name.
        """
        in_force = (KEYS.c.name == name) & KEYS.c.revoked.is_(None)
        with self._database.write() as connection:
            if not connection.execute(sa.update(KEYS).where(in_force).values(revoked=datetime.now(UTC))).rowcount:
                raise NotFound("no key in force has this name; `triage keys list` tells which there are")


def _new_token() -> str:
    return f"triage_{secrets.token_urlsafe(32)}"  # the prefix is for scanners of leaked secrets


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _insert(connection: sa.Connection, name: str, scopes: Collection[str], token: str) -> None:
    values = {"name": name, "digest": _digest(token), "scopes": sorted(set(scopes)), "created": datetime.now(UTC)}
    connection.execute(sa.insert(KEYS).values(values))


def _key(row: sa.Row[tuple[str, str, list[Scope], datetime, datetime | None]]) -> Key:
    return Key(row.name, frozenset(row.scopes), row.created, row.revoked)


def _write(file: Path, token: str) -> None:
    file.unlink(missing_ok=True)  # of a start whose key was not committed
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(f"{token}\n")
        opened.flush()
        os.fsync(descriptor)
