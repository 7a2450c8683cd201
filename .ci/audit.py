"""Look up the pinned packages in a vulnerability database.

pip-audit reports "No known vulnerabilities found" even if the database knows none of the packages. This script exits
with status 3 in that case, 0 if all packages were looked up and none has a known vulnerability, and 1 otherwise.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
PROBE = "pydicom"  # a package that every database knows
SERVICES = ("pypi", "osv")
SAFE, UNSAFE, UNKNOWN = 0, 1, 3

Report = list[dict[str, Any]]


def pins(text: str) -> list[str]:
    """Return the lines that pin a package."""
    return [line for line in text.splitlines() if "==" in line and not line.startswith("#")]


def look_up(requirements: Sequence[str], service: str) -> Report | None:
    """Run pip-audit; return None if the database does not answer or knows none of the packages."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(requirements))
        file.flush()
        options = ["--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json", f"-s={service}"]
        command = [sys.executable, "-m", "pip_audit", "-r", file.name, *options]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    try:
        report: Report = json.loads(answer.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None
    return None if all("skip_reason" in package for package in report) else report


def verdict(report: Report | None) -> tuple[int, list[str]]:
    """Return the exit status and the lines to print for a report."""
    if report is None:
        return UNKNOWN, ["NOT AUDITED: no vulnerability database answered. Vulnerabilities, if any, are not known."]
    known = [f"{package['name']} {package['version']}: {_ids(package)}" for package in report if package.get("vulns")]
    skipped = [f"{package['name']}: not looked up" for package in report if "skip_reason" in package]
    summary = f"{len(report) - len(skipped)} packages looked up, {len(known)} with known vulnerabilities"
    return (UNSAFE if known or skipped else SAFE), [*known, *skipped, summary]


def _ids(package: dict[str, Any]) -> str:
    fixed = sorted({version for vulnerability in package["vulns"] for version in vulnerability["fix_versions"]})
    ids = ", ".join(vulnerability["id"] for vulnerability in package["vulns"])
    return f"{ids} (fixed in {', '.join(fixed) or 'no version'})"


def main() -> int:
    """Audit constraints.txt with the first database that answers."""
    requirements = pins(CONSTRAINTS.read_text(encoding="utf-8"))
    probe = [pin for pin in requirements if pin.startswith(f"{PROBE}==")]
    service = next((name for name in SERVICES if look_up(probe, name) is not None), None)
    status, lines = verdict(look_up(requirements, service) if service else None)
    sys.stdout.write("".join(f"audit: {line}\n" for line in lines))
    return status


if __name__ == "__main__":
    sys.exit(main())
