"""Fixtures of all tests: the folder of real data, and the rule that CI skips nothing."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # must be set before any test imports ONNX Runtime
ROOT = Path(__file__).resolve().parents[1]
# A busy machine may take any time for an example. In CI, which Hypothesis knows, its examples are always the same.
settings.register_profile("any speed", deadline=None, suppress_health_check=(HealthCheck.too_slow,))
settings.load_profile("any speed")


def pytest_configure() -> None:
    """Let the commands that tests start be stopped by SIGINT.

    A shell ignores it for what it runs in the background, and processes inherit that; a signal with a handler is reset.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def root() -> Path:
    """The root folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real radiographs, which is not part of the repository."""
    folder = Path(os.environ.get("AGCNN_REALDATA", ROOT.parent / "shared" / "data"))
    if not (folder / "dicom").is_dir():
        pytest.skip(f"no real radiographs in {folder}; set AGCNN_REALDATA to the folder that has them")
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Under CI, fail a test that is skipped because a tool or data is missing; only a GPU may be missing."""
    report = yield
    required = os.environ.get("CI") == "true" and item.get_closest_marker("cuda") is None
    if required and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped under CI: {report.longrepr[2] if isinstance(report.longrepr, tuple) else ''}"
    return report


@pytest.fixture(autouse=True)
def _no_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the developer's own TRIAGE_ variables."""
    for name in [name for name in os.environ if name.startswith("TRIAGE_")]:
        monkeypatch.delenv(name)
