"""The files of a folder or of remote storage."""

import errno
from pathlib import Path

import fsspec
import numpy as np
import pytest

from service.backfill.files import Files, shown
from service.backfill.outcome import Outcome
from service.backfill.parts import Parts, digests
from service.backfill.table import Table
from service.errors import ConfigurationError, InvalidRequest, MalformedDicom, Overloaded, TooLarge, TriageError
from tests.service.s3_server import BUCKET, S3Server


@pytest.fixture(params=["folder", "remote"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Write three files below a folder, and below a prefix of a file system that is not local."""
    remote = fsspec.filesystem("memory")
    for name in ("b.dcm", "2024/a", "2024/01/1.2.3"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
        remote.pipe_file(f"/{tmp_path.name}/{name}", name.encode())
    return str(tmp_path) if request.param == "folder" else f"memory://{tmp_path.name}"


def test_every_file_is_listed_and_read_by_its_path_below_the_root(url: str) -> None:
    files = Files(url)

    assert sorted(files.references()) == ["2024/01/1.2.3", "2024/a", "b.dcm"]
    assert {name: files.read(name, 100) for name in files.references()} == {
        name: name.encode() for name in files.references()
    }


def test_a_file_over_the_limit_is_refused(url: str) -> None:
    assert Files(url).read("b.dcm", 5) == b"b.dcm"
    with pytest.raises(TooLarge, match="at most 4 bytes"):
        Files(url).read("b.dcm", 4)


def test_a_file_that_is_gone_is_unreadable(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Files(url).read("2024/gone", 100)
    assert caught.value.code == "unreadable"


def test_a_disk_that_fails_on_one_file_is_that_files_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(str(tmp_path))

    def fail(*_: object, **__: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files._files, "cat_file", fail)
    with pytest.raises(InvalidRequest, match="Input/output error"):
        files.read("b.dcm", 100)


@pytest.mark.parametrize(("failures", "answered"), [(0, True), (2, True), (3, False)])
def test_remote_storage_is_asked_again(failures: int, answered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.filesystem("memory").pipe_file("/again/a", b"data")
    files, calls = Files("memory://again", pauses=(0.0, 0.0)), iter(range(10))
    read = files._files.cat_file

    def flaky(*arguments: object, **more: object) -> bytes:
        if next(calls) < failures:
            raise TimeoutError
        data: bytes = read(*arguments, **more)
        return data

    monkeypatch.setattr(files._files, "cat_file", flaky)
    if answered:
        assert files.read("a", 10) == b"data"
    else:
        with pytest.raises(Overloaded) as caught:
            files.read("a", 10)
        assert caught.value.code == "source_unavailable"


def test_a_folder_that_cannot_be_listed_ends_the_listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Files(str(tmp_path))

    def fail(*_: object, **__: object) -> object:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(files._files, "ls", fail)
    with pytest.raises(TriageError) as caught:
        list(files.references())
    assert caught.value.code == "source_unavailable"


@pytest.mark.parametrize("url", ["nosuch://bucket/prefix", "/nowhere/at/all"])
def test_a_source_that_cannot_be_used_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Files(url)


def test_a_password_is_not_shown() -> None:
    assert shown("https://anna:secret@pacs:8042/dicom-web?a=1") == "https://pacs:8042/dicom-web?a=1"
    assert shown("s3://bucket/a@b") == "s3://bucket/a@b"


def test_files_and_results_are_in_a_bucket(
    s3: S3Server, aws: dict[str, str], prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.address)
    url, table = f"s3://{BUCKET}/{prefix}", Table(("Mass",), "a" * 64)
    storage = fsspec.filesystem("s3", skip_instance_cache=True)
    for name in ("b.dcm", "2024/a"):
        storage.pipe_file(f"{BUCKET}/{prefix}/archive/{name}", name.encode())
    files, parts = Files(f"{url}/archive"), Parts(f"{url}/results", table)

    names = sorted(files.references())
    assert [files.read(name, 100) for name in names] == [b"2024/a", b"b.dcm"]
    with parts.reserved():
        assert (len(parts.settle()), parts.refusals()) == (0, {})
        parts.put([table.row(Outcome(name, error=MalformedDicom("no"))) for name in names], names)
    assert np.array_equal(Parts(f"{url}/results", table).settle(), np.sort(digests(names)))
