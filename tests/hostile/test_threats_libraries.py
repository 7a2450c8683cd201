"""The native codecs that decode a file: which libraries a decoder process has loaded, and their versions."""

import asyncio
import ctypes
import os
import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pydicom
import pytest
import starlette
from packaging.requirements import Requirement
from packaging.version import Version
from PIL import Image

from tests.conftest import ROOT
from tests.hostile.code_streams import SEEDS
from tests.service.prediction.pools import pool


@pytest.fixture(scope="module")
def loaded() -> set[Path]:
    """Return the native libraries of a process that has decoded a stream of every codec, seen from outside."""
    with pool() as decoders:
        for seed in SEEDS.values():
            asyncio.run(decoders.unwindowed(seed.file()))
        number = asyncio.run(decoders._run(os.getpid, ()))
        lines = Path(f"/proc/{number}/maps").read_text().splitlines()
    return {Path(path) for path in (line.partition("/")[2] for line in lines) if ".so" in path}


def of(loaded: set[Path], name: str) -> list[Path]:
    return [Path("/") / path for path in loaded if path.name.startswith(name)]


def stated_by(path: Path, function: str) -> str:
    """Call a function of a loaded library that returns its version."""
    call = getattr(ctypes.CDLL(str(path)), function)
    call.restype = ctypes.c_char_p
    return str(call().decode())


def written_in(path: Path, pattern: bytes) -> str:
    """Find the version in the text of a library that has no such function."""
    match = re.search(pattern + rb"(\d+\.\d+\.\d+)", path.read_bytes())
    assert match is not None, path
    return match[1].decode()


def test_openjpeg_is_safe(loaded: set[Path]) -> None:
    """2.5.4: CVE-2025-54874, OpenJPEG #1530, #1534, #1536, #1566. Pillow loads another copy, and decodes nothing."""
    copies = of(loaded, "libopenjp2")
    assert copies
    for path in copies:
        assert Version(stated_by(path, "opj_version")) >= Version("2.5.4"), path


def test_charls_is_safe(loaded: set[Path]) -> None:
    (path,) = of(loaded, "libcharls")
    assert Version(stated_by(path, "charls_get_version_string")) >= Version("2.4.3")


def test_openjph_is_safe(loaded: set[Path]) -> None:
    (path,) = of(loaded, "libopenjph")
    assert Version(written_in(path, rb"JPH Ver ")) >= Version("0.26.3")


def test_libjpeg_turbo_is_safe(loaded: set[Path]) -> None:
    copies = of(loaded, "libjpeg-")
    assert copies
    for path in copies:
        assert Version(written_in(path, rb"libjpeg-turbo version ")) >= Version("3.1.3"), path


def test_no_other_library_that_decodes_is_loaded(loaded: set[Path]) -> None:
    """GDCM 3.2.6 has OpenJPEG 2.3.0 inside, pylibjpeg-openjpeg 2.6.0 has 2.5.2: these tests have both beside them."""
    assert find_spec("gdcm")
    assert find_spec("openjpeg")
    names = {path.name.lower() for path in loaded}
    decoders = {name for name in names if re.search("gdcm|jpeg|jp2|jph|j2k|jls|charls", name)}
    libraries = tuple(f"lib{name}-" for name in ("jpeg", "openjp2", "openjph", "charls"))

    codecs = {name.partition(".")[0] for name in decoders if not name.startswith(libraries)}
    assert codecs == {"_jpeg8", "_jpegls", "_jpeg2k", "_htj2k"}
    assert len(of(loaded, "libopenjp2")) <= 2  # of imagecodecs and of Pillow


@pytest.mark.parametrize("extra", ["", "cpu", "gpu", "postgres", "parquet"])
def test_no_other_decoder_is_installed_with_the_service(extra: str) -> None:
    required = {requirement.name.lower() for requirement in requirements(extra)}
    assert not required & {"pylibjpeg-openjpeg", "pylibjpeg-libjpeg", "python-gdcm", "pyjpegls", "pylibjpeg"}


def requirements(extra: str = "") -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*map(Requirement, project["optional-dependencies"][extra] if extra else project["dependencies"])]


def test_pillow_is_safe() -> None:
    """12.3: pictures that are bombs by side doors."""
    assert Version(Image.core.PILLOW_VERSION) >= Version("12.3")


def test_pydicom_is_safe() -> None:
    """3.0.2: CVE-2026-32711, traversal by a FileSet."""
    assert Version(pydicom.__version__) >= Version("3.0.2")


def test_starlette_is_safe() -> None:
    """1.0.1: CVE-2026-48710, a Host that changes the URL."""
    assert Version(starlette.__version__) >= Version("1.0.1")


@pytest.mark.parametrize(("package", "least"), [("pillow", "12.3"), ("pydicom", "3.0.2"), ("imagecodecs", "2026.3.6")])
def test_no_older_version_can_be_installed(package: str, least: str) -> None:
    (requirement,) = [requirement for requirement in requirements() if requirement.name == package]
    *major, minor = Version(least).release
    assert least in requirement.specifier
    assert ".".join(map(str, [*major, minor - 1])) not in requirement.specifier
