"""The rule of `tests/conftest.py` that CI may skip no test but those that need a GPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = """
import pytest

@pytest.fixture
def missing():
    pytest.skip("no data")

def test_passes(): pass

def test_skips(): pytest.skip("no tool")

def test_needs(missing): pass

@pytest.mark.skipif(True, reason="no system")
def test_marked(): pass

@pytest.mark.xfail(strict=True)
def test_expected(): assert False

@pytest.mark.cuda
def test_gpu(): pytest.skip("no GPU")
"""


@pytest.mark.parametrize(
    ("ci", "outcome"),
    [
        ("true", "1 failed, 1 passed, 1 skipped, 1 xfailed, 2 errors"),
        ("", "1 passed, 4 skipped, 1 xfailed"),
    ],
)
def test_under_ci_every_skip_but_for_a_missing_gpu_fails(tmp_path: Path, root: Path, ci: str, outcome: str) -> None:
    (tmp_path / "test_cases.py").write_text(CASES)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = cuda\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-q", str(tmp_path)]

    result = subprocess.run(command, cwd=root, env=os.environ | {"CI": ci}, capture_output=True, text=True)

    assert result.stdout.splitlines()[-1].startswith(outcome), result.stdout
    assert result.returncode == (1 if ci else 0)
    for reason in ("no tool", "no data", "no system"):
        assert (f"skipped under CI: Skipped: {reason}" in result.stdout) is bool(ci), result.stdout
