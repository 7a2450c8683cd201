"""The audit of packages: an audit that looked nothing up does not pass."""

import importlib.util
import subprocess
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SAFE = {"name": "a", "version": "1", "vulns": []}
UNSAFE = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("report", "status", "first"),
    [
        (None, 3, "NOT AUDITED: no vulnerability database answered. Vulnerabilities, if any, are not known."),
        ([SAFE], 0, "1 packages looked up, 0 with known vulnerabilities"),
        ([SAFE, UNSAFE], 1, "b 2: CVE-1 (fixed in 3)"),
        ([SAFE, SKIPPED], 1, "c: not looked up"),
    ],
)
def test_the_status_of_a_report(
    audit: ModuleType, report: list[dict[str, Any]] | None, status: int, first: str
) -> None:
    actual, lines = audit.verdict(report)

    assert (actual, lines[0]) == (status, first)


@pytest.mark.parametrize(
    ("printed", "answered"),
    [
        ('{"dependencies": [{"name": "a", "version": "1", "vulns": []}], "fixes": []}', True),
        ('{"dependencies": [{"name": "a", "skip_reason": "Dependency not found"}], "fixes": []}', False),
        ("", False),
        ("Traceback", False),
    ],
)
def test_a_database_that_knows_no_package_counts_as_no_answer(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, printed: str, answered: bool
) -> None:
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, printed, ""))

    assert (audit.look_up(["a==1"], "pypi") is not None) == answered


def test_every_pinned_package_is_looked_up(audit: ModuleType) -> None:
    pins = audit.pins(audit.CONSTRAINTS.read_text())

    assert any(pin.startswith(f"{audit.PROBE}==") for pin in pins)
    assert all(pin.count("==") == 1 and " " not in pin for pin in pins)
