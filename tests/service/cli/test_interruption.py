"""`triage backfill` that is stopped in the middle of its second part by a signal, and finished by another run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import backfill
from service.backfill.parts import ROWS
from tests.factories import dicom_bytes, noise
from tests.service.conftest import Run

FILES, READ = 700, 600  # the second part begins to fill before as many files are read, and is not full then
# The command, which reads so many files at first, and the others once its last argument, a folder, has a file `go on`.
HELD = f"""
import sys
import time
from itertools import count
from pathlib import Path
from service.backfill.folder import Folder
from service.cli.app import main

numbers, read, signs = count(), Folder.read, Path(sys.argv.pop())

def held(self, reference, limit):
    if next(numbers) >= {READ}:
        (signs / "waits").touch()
        while not (signs / "go on").exists():
            time.sleep(0.01)
    return read(self, reference, limit)

Folder.read = held
main()
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_was_stopped_is_finished_by_the_next(
    artefact: Path, tmp_path: Path, sent: signal.Signals, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, table = tmp_path / "archive", tmp_path / "table"
    folder.mkdir()
    for number in range(FILES):
        data = dicom_bytes(noise(seed=number % 3), SOPInstanceUID=f"2.25.{number + 1}")
        (folder / f"{number}.dcm").write_bytes(data)
    monkeypatch.setenv("TRIAGE_MODEL__PATH", str(artefact))
    monkeypatch.setenv("TRIAGE_LIMITS__DECODE_WORKERS", "1")  # 32 outcomes wait for an earlier one, at most
    words = ("backfill", str(folder), str(table))
    with subprocess.Popen(
        [sys.executable, "-c", HELD, *words, str(tmp_path)], stderr=subprocess.PIPE, start_new_session=True
    ) as started:
        deadline = time.monotonic() + 300
        while not (tmp_path / "waits").exists():
            assert time.monotonic() < deadline
            assert started.poll() is None
            time.sleep(0.02)
        os.killpg(started.pid, sent)
        (tmp_path / "go on").touch()
        started.communicate(timeout=120)
    assert started.returncode == (-sent if sent == signal.SIGKILL else 130)
    done = rows(table)
    if sent == signal.SIGKILL:
        assert done == ROWS
    else:  # the last rows are written before the end
        assert ROWS < done < FILES

    code, _, err = run(*words)
    assert code == 0
    assert f"{FILES} files have a row, {done} of them from earlier runs" in err
    assert rows(table) == FILES


def rows(table: Path) -> int:
    """Count the rows of a table; a file has one."""
    [(each, files)] = backfill.rows(table).items()
    assert each == 1
    return files
