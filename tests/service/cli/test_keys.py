import re

import pytest

from service.storage.keys import Keys
from service.storage.records import Records
from tests.service.conftest import Run


def test_standard_output_is_the_key_alone(run: Run, records: Records) -> None:
    code, out, err = run("keys", "add", "ward-2", "--scope", "predict", "--scope", "admin")

    assert code == 0
    assert re.fullmatch(r"triage_[A-Za-z0-9_-]{43}\n", out)
    assert "not shown again" in err
    key = Keys(records.database).find(out.strip())
    assert key is not None
    assert (key.name, key.scopes) == ("ward-2", {"predict", "admin"})
    assert out.strip() not in run("keys", "list")[1]


def test_a_key_has_the_scopes_predict_and_read_by_default(run: Run, records: Records) -> None:
    key = Keys(records.database).find(run("keys", "add", "a")[1].strip())

    assert key is not None
    assert key.scopes == {"predict", "read"}


def test_keys_are_listed_and_revoked(run: Run, records: Records) -> None:
    token = run("keys", "add", "a", "--scope", "read")[1].strip()
    run("keys", "add", "b", "--scope", "admin")

    assert run("keys", "revoke", "a") == (0, "revoked a\n", "")

    assert Keys(records.database).find(token) is None
    _, first, second = run("keys", "list")[1].strip().splitlines()
    assert re.fullmatch(r"a +read +[\d-]{10} [\d:]{5} UTC +[\d-]{10} [\d:]{5} UTC", first.strip())
    assert re.fullmatch(r"b +admin +[\d-]{10} [\d:]{5} UTC", second.strip())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("add", "a"), 2, "is never used again"),
        (("add", "a b"), 2, "name"),
        (("add", "b", "--scope", "everything"), 2, "predict, read, admin"),
        (("revoke", "none"), 1, "no valid key has this name"),
    ],
)
def test_an_error_is_one_line(run: Run, arguments: tuple[str, ...], code: int, message: str) -> None:
    run("keys", "add", "a")

    got, out, err = run("keys", *arguments)

    assert (got, out, len(err.splitlines())) == (code, "", 1)
    assert err.startswith("triage: ")
    assert message in err
