"""The installation says what it fetches, and keeps pip's own words for a failure."""

import runpy

import pytest

from tests.conftest import ROOT

INSTALL = runpy.run_path(str(ROOT / ".ci" / "install.py"))


@pytest.mark.parametrize(
    ("line", "short"),
    [
        ("  Downloading numpy-2.3.5-cp311-cp311-manylinux_2_28_x86_64.whl (16.6 MB)\n", "  numpy 2.3.5 (16.6 MB)"),
        ("Using cached https://files.example/p/pydicom-3.0.1-py3-none-any.whl (2.4 MB)\n", "  pydicom 3.0.1 (2.4 MB)"),
        ("  Downloading numpy-2.3.5-cp311-cp311-manylinux_2_28_x86_64.whl.metadata (62 kB)\n", ""),
        ("Installing collected packages: numpy, pydicom\n", "  unpacking them ..."),
        ("Collecting numpy<3,>=2\n", ""),
        ("WARNING: Running pip as the 'root' user can result in broken permissions\n", ""),
    ],
)
def test_a_line_of_pip_is_shortened_or_left_out(line: str, short: str) -> None:
    assert INSTALL["_short"](line) == short


def test_a_failure_shows_what_pip_said(tmp_path: object, capfd: pytest.CaptureFixture[str]) -> None:
    status = INSTALL["install"](["--no-index", str(tmp_path)])  # an empty folder is no project

    out, err = capfd.readouterr()
    assert status != 0
    assert out == "  looking up the packages ...\n"
    assert "ERROR: " in err
    assert err.endswith("The installation failed; the lines above are pip's.\n")
