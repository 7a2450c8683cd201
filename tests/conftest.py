"""What every room's tests share: the real data's folder, and the rule that CI skips nothing."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when ONNX Runtime is imported, which tests do in every room
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real radiographs, which is not part of the repository."""
    folder = Path(os.environ.get("AGCNN_REALDATA", ROOT.parent / "shared" / "data"))
    if not (folder / "dicom").is_dir():
        pytest.skip(f"no real radiographs in {folder}; AGCNN_REALDATA names their folder")
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Under CI a test skipped for want of a tool or of data has failed; only a GPU may be missing."""
    report = yield
    wanted = os.environ.get("CI") == "true" and item.get_closest_marker("cuda") is None
    if wanted and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped under CI: {report.longrepr[2] if isinstance(report.longrepr, tuple) else ''}"
    return report


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own TRIAGE_ variables do not reach the tests."""
    for name in [name for name in os.environ if name.startswith("TRIAGE_")]:
        monkeypatch.delenv(name)
