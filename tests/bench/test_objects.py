import sys

import pytest

from bench import objects
from service.objects.kinds import DICOM_KINDS


def test_every_kind_of_object_is_measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["objects", "--height", "300", "--width", "260", "--repeats", "1"])

    objects.main()

    lines = capsys.readouterr().out.splitlines()
    assert [line.split("`")[1] for line in lines if line.startswith("| `")] == list(DICOM_KINDS)
    assert lines[-1].startswith("slower than")
