import pytest

from bench import saving


@pytest.mark.parametrize("name", ["SQLite", pytest.param("PostgreSQL", marks=pytest.mark.postgresql)])
def test_records_are_counted(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(saving, "WRITERS", {name: (2,)})

    saving.main(["--seconds", "0.3"])

    about, *rates = capsys.readouterr().out.splitlines()[-1].strip("| ").split(" | ")
    assert about == f"{name}, 2"
    assert all(float(rate) > 0 for rate in rates)
