"""The audit of packages: silence of the service is not health."""

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


SOUND = {"name": "a", "version": "1", "vulns": []}
UNSOUND = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("report", "status", "first"),
    [
        (None, 3, "NOT AUDITED: no vulnerability service answered. Nothing is known of these packages."),
        ([SOUND], 0, "1 packages looked up, 0 with known vulnerabilities"),
        ([SOUND, UNSOUND], 1, "b 2: CVE-1 (fixed in 3)"),
        ([SOUND, SKIPPED], 1, "c: not looked up"),
    ],
)
def test_a_report_is_judged(audit: ModuleType, report: list[dict[str, Any]] | None, status: int, first: str) -> None:
    found, lines = audit.verdict(report)

    assert (found, lines[0]) == (status, first)


@pytest.mark.parametrize(
    ("printed", "answered"),
    [
        ('{"dependencies": [{"name": "a", "version": "1", "vulns": []}], "fixes": []}', True),
        ('{"dependencies": [{"name": "a", "skip_reason": "Dependency not found"}], "fixes": []}', False),
        ("", False),
        ("Traceback", False),
    ],
)
def test_a_service_that_knows_no_package_has_not_answered(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, printed: str, answered: bool
) -> None:
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, printed, ""))

    assert (audit.ask(["a==1"], "pypi") is not None) == answered


def test_every_pinned_package_is_asked_about(audit: ModuleType) -> None:
    pins = audit.pins(audit.CONSTRAINTS.read_text())

    assert any(pin.startswith(f"{audit.PROBE}==") for pin in pins)
    assert all(pin.count("==") == 1 and " " not in pin for pin in pins)
