"""API keys and their scopes. Only a hash of a key is stored; the key itself is shown once, when it is created.

The hash is a single SHA-256 without salt. Slow, salted hashes protect passwords, which can be guessed; a key is 256
random bits, which cannot be, however fast the hash. Keys are looked up by their hash in an index, so the time of a
lookup reveals nothing about a key.
"""

import hashlib
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
from service.private_file import write_private
from service.storage.database import Database
from service.storage.tables import KEYS

Scope = Literal["predict", "read", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
FIRST = "first"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")  # a name appears in the log
_TOKEN = re.compile(r"triage_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Key:
    """The stored facts about a key.

    Attributes
    ----------
    name
        Name in the log. It is never used again, also after `revoke`, so a log line always means one key.
    revoked
        Time of `revoke`, or None.
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
        An open database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, scopes: Collection[str]) -> str:
        """Create a key and return it: `triage_` and 43 characters. It cannot be read again later.

        Raises
        ------
        ConfigurationError
            The name or a scope is invalid, the name was used before, or there is no scope.
        """
        if not _NAME.fullmatch(name):
            raise ConfigurationError("the name of a key must be 1 to 64 letters, digits, dots, hyphens or underscores")
        if not scopes or not set(scopes) <= set(SCOPES):
            raise ConfigurationError(f"the scopes of a key must be among {', '.join(SCOPES)}")
        token = _new_token()
        try:
            with self._database.write() as connection:
                _insert(connection, name, scopes, token)
        except IntegrityError:
            raise ConfigurationError(
                f"the name {name} is already used; the name of a key is never used again"
            ) from None
        return token

    def add_first(self, file: Path) -> bool:
        """Create a key with every scope, unless a key was ever created, and write it to `file` (mode 600).

        If several replicas do so at once, one of them creates the key.

        Returns
        -------
        bool
            Whether this call created the key.

        Raises
        ------
        ConfigurationError
            The file cannot be written; no key is created then.
        """
        token = _new_token()
        try:
            with self._database.write() as connection:
                if connection.scalar(sa.select(sa.exists().select_from(KEYS))):
                    return False
                _insert(connection, FIRST, SCOPES, token)
                file.unlink(missing_ok=True)  # left by a start that failed before its key was committed
                write_private(file, f"{token}\n".encode())
        except IntegrityError:
            return False
        except OSError as error:
            raise ConfigurationError(f"the first key cannot be written to {file}: {error.strerror}") from None
        return True

    def find(self, token: str) -> Key | None:
        """Return a key, or None if it is unknown or revoked."""
        if not _TOKEN.fullmatch(token):
            return None
        in_force = (KEYS.c.digest == _digest(token)) & KEYS.c.revoked.is_(None)
        with self._database.read() as connection:
            row = connection.execute(sa.select(KEYS).where(in_force)).one_or_none()
        return None if row is None else _key(row)

    def list(self) -> tuple[Key, ...]:
        """Return all keys, also revoked ones, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(KEYS).order_by(KEYS.c.created, KEYS.c.name))
            return tuple(map(_key, rows))

    def revoke(self, name: str) -> None:
        """Revoke a key; every replica refuses it from the next request on.

        Raises
        ------
        NotFound
            There is no key of this name, or it is revoked already.
        """
        in_force = (KEYS.c.name == name) & KEYS.c.revoked.is_(None)
        with self._database.write() as connection:
            if not connection.execute(sa.update(KEYS).where(in_force).values(revoked=datetime.now(UTC))).rowcount:
                raise NotFound("no valid key has this name; `triage keys list` lists all keys")


def _new_token() -> str:
    return f"triage_{secrets.token_urlsafe(32)}"  # scanners for leaked secrets look for the prefix


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _insert(connection: sa.Connection, name: str, scopes: Collection[str], token: str) -> None:
    values = {"name": name, "digest": _digest(token), "scopes": sorted(set(scopes)), "created": datetime.now(UTC)}
    connection.execute(sa.insert(KEYS).values(values))


def _key(row: sa.Row[tuple[str, str, list[Scope], datetime, datetime | None]]) -> Key:
    return Key(row.name, frozenset(row.scopes), row.created, row.revoked)
