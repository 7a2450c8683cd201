import pytest

from bench import bucket
from tests.service.s3_server import weed


def test_folder_and_bucket_are_measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    weed()
    monkeypatch.setattr(bucket, "SINGLE", 2)

    bucket.main(["--count", "2", "--side", "256"])

    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[4:]]
    assert [row[0] for row in rows] == ["folder", "bucket"]
    assert all(float(cell) > 0 for row in rows for cell in row[1:])
