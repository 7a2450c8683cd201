"""The files of remote storage: one that is not local, and a server with the interface of S3."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from service.backfill.files import Files, shown
from service.backfill.outcome import Outcome
from service.backfill.parts import Parts, digests
from service.backfill.table import Table
from service.errors import ConfigurationError, InvalidRequest, MalformedDicom, Overloaded, TooLarge, TriageError
from tests.service.s3_server import BUCKET, S3Server

NAMES = ["2024/01/1.2.3", "2024/a", "b.dcm"]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Write three files below a prefix of a file system that is not local."""
    for name in NAMES:
        fsspec.filesystem("memory").pipe_file(f"/{tmp_path.name}/{name}", name.encode())
    return f"memory://{tmp_path.name}"


@pytest.fixture
def bucket(s3: S3Server, aws: dict[str, str], prefix: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write three files, an empty one and the mark of a folder below a prefix of a bucket."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.address)
    for name in [*NAMES, "empty", "2024/"]:
        content = b"" if name in {"empty", "2024/"} else name.encode()
        s3.client.put_object(Bucket=BUCKET, Key=f"{prefix}/archive/{name}", Body=content)
    return f"s3://{BUCKET}/{prefix}"


def failure(files: Files, name: str) -> Outcome:
    with pytest.raises(TriageError) as caught:
        files.read(name, 100)
    return Outcome(name, error=caught.value)


def code(outcome: Outcome) -> str:
    assert isinstance(outcome.error, TriageError)
    return outcome.error.code


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


def test_every_file_is_listed_and_read_by_its_path_below_the_root(url: str) -> None:
    files = Files(url)
    assert sorted(files.references()) == NAMES
    assert [files.read(name, 100).decode() for name in NAMES] == NAMES


def test_a_file_over_the_limit_is_refused(url: str) -> None:
    assert Files(url).read("b.dcm", 5) == b"b.dcm"
    with pytest.raises(TooLarge, match="at most 4 bytes"):
        Files(url).read("b.dcm", 4)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FileNotFoundError("NoSuchKey"), "file_gone"),
        (PermissionError("AccessDenied"), "file_unavailable"),
        (TimeoutError(), "file_unavailable"),
    ],
)
def test_one_file_that_cannot_be_read_is_tried_again_and_ends_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch, error: Exception, expected: str
) -> None:
    files = Files(url, pauses=(0.0,))
    monkeypatch.setattr(files._files, "cat_file", raising(error))
    found = failure(files, "b.dcm")
    assert (code(found), found.is_final, found.stops) == (expected, False, None)


def test_a_folder_in_place_of_a_file_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(url)
    monkeypatch.setattr(files._files, "cat_file", raising(IsADirectoryError()))
    with pytest.raises(InvalidRequest):
        files.read("2024", 100)


def test_storage_that_is_gone_ends_the_run(url: str) -> None:
    files = Files(url, pauses=())
    fsspec.filesystem("memory").rm(url, recursive=True)
    found = failure(files, "b.dcm")
    assert (code(found), found.stops) == ("source_unavailable", found.error)


def test_a_folder_that_cannot_be_listed_ends_the_listing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(url, pauses=(0.0,))
    listed = files._files.ls

    def fail(path: str, detail: bool) -> object:
        if path.endswith("01"):
            raise PermissionError
        return listed(path, detail=detail)

    monkeypatch.setattr(files._files, "ls", fail)
    with pytest.raises(Overloaded) as caught:
        list(files.references())
    assert caught.value.code == "source_unavailable"


@pytest.mark.parametrize("name", ["nosuch://bucket/prefix", "memory://nowhere/at/all"])
def test_a_source_that_cannot_be_used_is_a_wrong_setting(name: str) -> None:
    with pytest.raises(ConfigurationError):
        Files(name)


def test_one_file_is_not_a_source(url: str) -> None:
    with pytest.raises(ConfigurationError, match="not a folder"):
        Files(f"{url}/b.dcm")


def test_a_password_is_not_shown() -> None:
    assert shown("https://anna:secret@pacs:8042/dicom-web?a=1") == "https://pacs:8042/dicom-web?a=1"
    assert shown("s3://bucket/a@b") == "s3://bucket/a@b"


def test_files_and_results_are_in_a_bucket(bucket: str) -> None:
    table = Table(("Mass",), "a" * 64)
    files, parts = Files(f"{bucket}/archive"), Parts(f"{bucket}/results", table)

    names = sorted(files.references())
    assert [files.read(name, 100).decode() for name in names] == [*NAMES, ""]
    assert names == [*NAMES, "empty"]
    with parts.reserved():
        assert (len(parts.settle()), parts.refusals()) == (0, {})
        parts.put([table.row(Outcome(name, error=MalformedDicom("no"))) for name in names], names)
    assert np.array_equal(Parts(f"{bucket}/results", table).settle(), np.sort(digests(names)))


def test_a_bucket_is_listed_page_by_page(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files, pages = Files(f"{bucket}/archive"), []
    call = files._files.call_s3

    def two_at_most(*arguments: object, **options: object) -> object:
        pages.append(options)
        return call(*arguments, MaxKeys=2, **options)

    monkeypatch.setattr(files._files, "call_s3", two_at_most)
    names = files.references()
    first = next(names)
    assert len(pages) == 1
    assert sorted([first, *names]) == [*NAMES, "empty"]
    assert len(pages) == 3
    assert not dict(files._files.dircache)


def test_an_object_that_is_gone_is_tried_again(bucket: str) -> None:
    found = failure(Files(f"{bucket}/archive", pauses=()), "gone")
    assert (code(found), found.is_final, found.stops) == ("file_gone", False, None)


def test_credentials_that_are_refused_end_the_run(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(f"{bucket}/archive", pauses=())
    type(files._files).clear_instance_cache()  # other tests do not get this one
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "revoked")
    files._files.connect(refresh=True)
    found = failure(files, "b.dcm")
    assert (code(found), found.stops) == ("source_unavailable", found.error)
    assert "check permissions and credentials" in str(found.error)
    with pytest.raises(Overloaded):
        list(files.references())


def test_a_bucket_that_is_gone_ends_the_run(bucket: str, s3: S3Server, prefix: str) -> None:
    s3.client.create_bucket(Bucket=prefix)
    s3.client.put_object(Bucket=prefix, Key="a", Body=b"a")
    files = Files(f"s3://{prefix}", pauses=())
    assert (list(files.references()), files.read("a", 9)) == (["a"], b"a")
    s3.client.delete_object(Bucket=prefix, Key="a")
    s3.client.delete_bucket(Bucket=prefix)
    found = failure(files, "a")
    assert (code(found), found.stops) == ("source_unavailable", found.error)
