"""The bill of materials lists the C libraries inside wheels."""

import importlib.util
from importlib.metadata import distribution
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def libraries() -> ModuleType:
    spec = importlib.util.spec_from_file_location("libraries", ROOT / ".ci" / "libraries.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("package", "name", "file"),
    [
        ("imagecodecs", "openjpeg", "libopenjp2"),
        ("imagecodecs", "openjph", "libopenjph"),
        ("imagecodecs", "charls", "libcharls"),
        ("imagecodecs", "libjpeg_turbo", "libjpeg"),
        ("imagecodecs", "zlib", ""),  # has no file of its own
        ("pillow", "openjpeg", "libopenjp2"),
        ("pillow", "libjpeg_turbo", "libjpeg"),
        ("pillow", "libtiff", "libtiff"),
        ("pillow", "freetype2", "libfreetype"),
        ("pillow", "zlib", ""),
        ("numpy", "openblas", "libscipy_openblas64_"),
    ],
)
def test_a_library_has_the_version_of_its_release(libraries: ModuleType, package: str, name: str, file: str) -> None:
    (part,) = [part for part in libraries.libraries(package) if part["name"] == name]

    assert part["version"] == libraries.stated(package)[name]
    assert len(part["version"].split(".")) >= 3
    if file:
        assert Path(part["properties"][0]["value"]).name.startswith(file)
        assert len(part["hashes"][0]["content"]) == 64


@pytest.mark.parametrize("package", ["imagecodecs", "pillow", "numpy", "onnxruntime", "pydicom"])
def test_every_file_is_listed_once(libraries: ModuleType, package: str) -> None:
    files = [str(file) for file in distribution(package).files or ()]
    bundled = {file for file in files if ".libs/" in file or Path(file).name.startswith("libonnxruntime")}

    parts = libraries.libraries(package)
    listed = [part["properties"][0]["value"] for part in parts if part["properties"]]

    assert set(listed) == bundled
    assert len(listed) == len(bundled)
    assert all(part["version"] for part in parts)
    assert len({part["bom-ref"] for part in parts}) == len(parts)


def test_the_libraries_are_parts_of_their_package(libraries: ModuleType) -> None:
    bill = {"components": [{"name": "pillow"}, {"name": "numpy"}, {"name": "pydicom"}]}

    count = libraries.add(bill)

    pillow, numpy, pydicom = bill["components"]
    assert count == len(pillow["components"]) + len(numpy["components"])  # type: ignore[arg-type]
    assert "components" not in pydicom
