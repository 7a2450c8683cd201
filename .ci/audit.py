"""Hold the pinned packages against a vulnerability service, and never take its silence for health.

pip-audit says "No known vulnerabilities found" also where the service knew none of the packages it was asked for. Here
that is exit status 3. 0: none known in any package; 1: some known, or some packages that were not looked up.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
PROBE = "pydicom"  # any that every service must know
SERVICES = ("pypi", "osv")
SOUND, UNSOUND, UNKNOWN = 0, 1, 3

Report = list[dict[str, Any]]


def pins(text: str) -> list[str]:
    """Take the lines that pin a package."""
    return [line for line in text.splitlines() if "==" in line and not line.startswith("#")]


def ask(requirements: Sequence[str], service: str) -> Report | None:
    """Ask pip-audit; None where the service does not answer, or knows none of them."""
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
    return None if all("skip_reason" in one for one in report) else report


def verdict(report: Report | None) -> tuple[int, list[str]]:
    """Judge a report: exit status, and what to say."""
    if report is None:
        return UNKNOWN, ["NOT AUDITED: no vulnerability service answered. Nothing is known of these packages."]
    known = [f"{one['name']} {one['version']}: {_ids(one)}" for one in report if one.get("vulns")]
    skipped = [f"{one['name']}: not looked up" for one in report if "skip_reason" in one]
    found = f"{len(report) - len(skipped)} packages looked up, {len(known)} with known vulnerabilities"
    return (UNSOUND if known or skipped else SOUND), [*known, *skipped, found]


def _ids(one: dict[str, Any]) -> str:
    fixed = sorted({version for vulnerability in one["vulns"] for version in vulnerability["fix_versions"]})
    ids = ", ".join(vulnerability["id"] for vulnerability in one["vulns"])
    return f"{ids} (fixed in {', '.join(fixed) or 'no version'})"


def main() -> int:
    """Audit constraints.txt by the first service that answers."""
    wanted = pins(CONSTRAINTS.read_text(encoding="utf-8"))
    probe = [pin for pin in wanted if pin.startswith(f"{PROBE}==")]
    service = next((one for one in SERVICES if ask(probe, one) is not None), None)
    status, lines = verdict(ask(wanted, service) if service else None)
    sys.stdout.write("".join(f"audit: {line}\n" for line in lines))
    return status


if __name__ == "__main__":
    sys.exit(main())
