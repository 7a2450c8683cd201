from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from training.cli.app import app


def stopped(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["--out", "my run"], "agcnn train --data tiny --out 'my run' --resume"),
        (["--out", "run", "--resume"], "agcnn train --data tiny --out run --resume"),
    ],
)
def test_an_interrupted_run_says_how_to_resume_it(
    monkeypatch: pytest.MonkeyPatch, words: list[str], command: str
) -> None:
    monkeypatch.setattr("training.fit.run.train", stopped)
    typed = ["train", "--data", "tiny", *words]
    monkeypatch.setattr("sys.argv", ["agcnn", *typed])
    answer = CliRunner().invoke(app, typed)
    assert answer.exit_code == 130
    assert answer.stderr.splitlines()[-1] == command


def test_only_the_first_process_says_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("training.fit.run.train", stopped)
    monkeypatch.setenv("LOCAL_RANK", "1")
    answer = CliRunner().invoke(app, ["train", "--data", "tiny", "--out", str(tmp_path)])
    assert (answer.exit_code, answer.stderr) == (130, "")
