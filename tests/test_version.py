"""The version is stated in pyproject.toml; the copies that other tools read are equal to it."""

import re
import tomllib
from importlib.metadata import version

import pytest

from tests.conftest import ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def test_the_installed_version_is_that_of_the_project() -> None:
    assert version("agcnn-triage") == VERSION


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("CITATION.cff", r"^version: (.*)$"),
        ("docker/service.Dockerfile", r'opencontainers\.image\.version="(.*)"'),
        ("docker/training.Dockerfile", r'opencontainers\.image\.version="(.*)"'),
    ],
)
def test_a_copy_of_the_version_is_equal(path: str, pattern: str) -> None:
    assert re.findall(pattern, (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE) == [VERSION]
