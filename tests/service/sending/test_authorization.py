import base64
from pathlib import Path

import pytest

from service.destinations import Destination
from service.errors import ConfigurationError
from service.sending.authorization import authorization


def header(folder: Path, secret: str, **keys: str) -> dict[str, str]:
    (folder / "secret").write_text(secret, "utf-8")
    files = {key: folder / "secret" for key, value in keys.items() if value == "file"}
    return authorization(Destination(name="a", url="https://a", **(keys | files)))


def test_a_token_and_a_password_are_read_from_their_files(tmp_path: Path) -> None:
    assert header(tmp_path, "abc.DEF-1==\n", bearer_token_file="file") == {"Authorization": "Bearer abc.DEF-1=="}
    assert header(tmp_path, "Digest x\n", authorization_file="file") == {"Authorization": "Digest x"}
    # RFC 7617 2.1: user "test", password "123£" in UTF-8
    basic = header(tmp_path, "123£\n", username="test", password_file="file")
    assert basic == {"Authorization": "Basic dGVzdDoxMjPCow=="}
    assert base64.b64decode("dGVzdDoxMjPCow==").decode() == "test:123£"


def test_without_a_secret_there_is_no_header() -> None:
    assert authorization(Destination(name="a", url="https://a")) == {}


@pytest.mark.parametrize("key", ["bearer_token_file", "authorization_file"])
@pytest.mark.parametrize("secret", ["", "a\nHost: b", "ä"])
def test_a_secret_that_would_break_the_header_is_refused(tmp_path: Path, key: str, secret: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        header(tmp_path, secret, **{key: "file"})
    assert "Host" not in caught.value.message


def test_a_changed_secret_is_read_again_and_a_missing_one_is_an_error(tmp_path: Path) -> None:
    destination = Destination(name="a", url="https://a", bearer_token_file=tmp_path / "token")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        authorization(destination)

    for token in ("old", "new"):
        (tmp_path / "token").write_text(token)
        assert authorization(destination) == {"Authorization": f"Bearer {token}"}
