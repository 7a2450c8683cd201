import hashlib
import sqlite3
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.errors import ConfigurationError, NotFound
from service.storage.database import Database
from service.storage.keys import FIRST, SCOPES, Keys
from tests.service.storage.conftest import on_sqlite


@pytest.fixture
def keys(url: str) -> Iterator[Keys]:
    database = Database(url)
    database.open()
    yield Keys(database)
    database.close()


class TestAdd:
    def test_a_key_is_found_by_itself_only(self, keys: Keys) -> None:
        token = keys.add("ward-2", ["read", "predict"])

        key = keys.find(token)

        assert key is not None
        assert (key.name, key.scopes, key.revoked) == ("ward-2", {"read", "predict"}, None)
        assert keys.list() == (key,)
        for other in (token[:-1], token + "A", token.upper(), f"{token}\n", "", "triage_", "é" * 50):
            assert keys.find(other) is None

    def test_keys_are_256_random_bits(self, keys: Keys) -> None:
        tokens = {keys.add(f"key-{number}", ["read"]) for number in range(20)}

        assert len(tokens) == 20
        assert {len(token) for token in tokens} == {len("triage_") + 43}  # 43 characters of 6 bits

    @on_sqlite
    def test_only_the_hash_is_on_disk(self, keys: Keys, url: str) -> None:
        path = Path(str(sa.make_url(url).database))
        token = keys.add("a", ["read"])

        with sqlite3.connect(path) as connection:
            rows = connection.execute("SELECT * FROM keys").fetchall()
        connection.close()

        assert hashlib.sha256(token.encode()).hexdigest() in rows[0]
        assert all(token.removeprefix("triage_").encode() not in file.read_bytes() for file in path.parent.iterdir())

    @pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "x" * 65, "a\n"])
    def test_an_invalid_name_is_refused(self, keys: Keys, name: str) -> None:
        with pytest.raises(ConfigurationError):
            keys.add(name, ["read"])

    @pytest.mark.parametrize("scopes", [[], ["everything"], ["read", ""]])
    def test_an_invalid_scope_is_refused(self, keys: Keys, scopes: list[str]) -> None:
        with pytest.raises(ConfigurationError, match="predict, read, admin"):
            keys.add("a", scopes)

    def test_a_name_is_never_used_again(self, keys: Keys) -> None:
        token = keys.add("a", ["read"])

        with pytest.raises(ConfigurationError, match="is never used again"):
            keys.add("a", ["admin"])
        keys.revoke("a")
        with pytest.raises(ConfigurationError, match="is never used again"):
            keys.add("a", ["admin"])

        assert keys.find(token) is None


class TestRevoke:
    def test_a_revoked_key_is_not_found(self, keys: Keys) -> None:
        revoked, valid = keys.add("a", ["read"]), keys.add("b", ["read"])

        keys.revoke("a")

        assert keys.find(revoked) is None
        assert keys.find(valid) is not None
        assert [(key.name, key.revoked is None) for key in keys.list()] == [("a", False), ("b", True)]

    def test_an_unknown_or_revoked_key_cannot_be_revoked(self, keys: Keys) -> None:
        keys.add("a", ["read"])
        keys.revoke("a")
        for name in ("a", "none"):
            with pytest.raises(NotFound):
                keys.revoke(name)


class TestFirst:
    def test_only_the_owner_can_read_the_file(self, keys: Keys, tmp_path: Path) -> None:
        file = tmp_path / "first_key"

        assert keys.add_first(file)

        key = keys.find(file.read_text().strip())
        assert key is not None
        assert (key.name, key.scopes) == (FIRST, set(SCOPES))
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_a_second_call_creates_no_key(self, keys: Keys, tmp_path: Path) -> None:
        assert keys.add_first(tmp_path / "a")
        assert not keys.add_first(tmp_path / "b")
        assert not (tmp_path / "b").exists()

    def test_no_first_key_is_created_after_all_were_revoked(self, keys: Keys, tmp_path: Path) -> None:
        keys.add("a", ["read"])
        keys.revoke("a")

        assert not keys.add_first(tmp_path / "first_key")

    def test_of_several_replicas_one_creates_the_key(self, url: str, tmp_path: Path) -> None:
        databases = [Database(url) for _ in range(4)]
        for database in databases:
            database.open()
        file = tmp_path / "first_key"
        with ThreadPoolExecutor(4) as pool:
            created = list(pool.map(lambda database: Keys(database).add_first(file), databases))

        assert sorted(created) == [False, False, False, True]
        assert Keys(databases[0]).find(file.read_text().strip()) is not None
        for database in databases:
            database.close()

    def test_the_file_of_a_failed_start_is_replaced(self, keys: Keys, tmp_path: Path) -> None:
        file = tmp_path / "first_key"
        file.write_text("stale")
        file.chmod(0o644)

        assert keys.add_first(file)
        assert keys.find(file.read_text().strip()) is not None
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_without_a_writable_file_no_key_is_created(self, keys: Keys, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="first key cannot be written"):
            keys.add_first(tmp_path / "none" / "first_key")

        assert keys.list() == ()
