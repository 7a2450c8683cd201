"""Add the C libraries inside wheels to a software bill of materials: `python .ci/libraries.py build/sbom.cdx.json`.

Run it by the Python whose packages the bill lists. A library is found as a file of a wheel, and because its package
states the version that it was built with, which includes libraries that have no file of their own.
"""

import hashlib
import json
import re
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

Component = dict[str, Any]

_FILE = re.compile(r"(?:^|.*/)lib(?P<name>[^/]+?)(?:-[0-9a-f]{8})*\.so(?:\.(?P<version>[\d.]+))?")
# Names of files, where they are not those by which packages state the version
_NAMES = {
    **{"jpeg": "libjpeg_turbo", "openjp2": "openjpeg", "png16": "libpng", "gif": "giflib", "freetype": "freetype2"},
    **{"blosc": "c-blosc", "blosc2": "c-blosc2", "aec": "libaec", "sz": "libaec", "jpegxr": "jxrlib", "jxl": "libjxl"},
    **{"jxl_cms": "libjxl", "jxl_threads": "libjxl", "jxrglue": "jxrlib", "uhdr": "libultrahdr", "SZ3c": "sz3"},
    **{"brotlicommon": "brotli", "brotlidec": "brotli", "brotlienc": "brotli", "webpdemux": "webp", "webpmux": "webp"},
    **{"lzhamcomp": "lzham", "lzhamdecomp": "lzham", "lzhamdll": "lzham", "cpcodec": "pcodec", "lzokay-c": "lzokay"},
    **{"scipy_openblas64_": "openblas", "onnxruntime_providers_shared": "onnxruntime"},
    "zstd": "libzstd",  # imagecodecs states the version of another copy, which is part of a module
}


def add(bill: dict[str, Any]) -> int:
    """Add the libraries of every package of a CycloneDX document to it, as parts; return how many there are."""
    count = 0
    for component in bill.get("components", []):
        parts = libraries(component["name"])
        if parts:
            component["components"] = parts
            count += len(parts)
    return count


def libraries(package: str) -> list[Component]:
    """Return the libraries inside a package that is installed, by name; files before those that are stated alone."""
    installed = distribution(package)
    versions = stated(installed.name.lower())
    files = [file for file in installed.files or () if _FILE.fullmatch(str(file))]
    parts = [_of_file(installed, str(file), versions) for file in sorted(files, key=str)]
    with_file = {part["name"] for part in parts}
    alone = {name: version for name, version in versions.items() if name not in with_file}
    return parts + [_component(package, name, version) for name, version in sorted(alone.items())]


def stated(package: str) -> dict[str, str]:
    """Return the versions of libraries that a package says it was built with."""
    if package == "imagecodecs":
        import imagecodecs

        own = {"imagecodecs", "numpy", "numpy_abi", "cython"}
        versions = {name: str(version) for name, version in imagecodecs.version(dict).items() if version != "n/a"}
        return {name: version.split("/")[0] for name, version in versions.items() if name not in own}
    if package == "pillow":
        from PIL import features

        names = {"littlecms2": "lcms2", "jpg_2000": "openjpeg", "jpg": "", "pil": "", "tkinter": "", "xcb": ""}
        versions = {names.get(name, name): features.version(name) for name in features.get_supported()}
        return {name: version for name, version in versions.items() if name and version}
    if package == "numpy":
        import numpy

        return {"openblas": numpy.show_config("dicts")["Build Dependencies"]["blas"]["version"]}
    return {}


def _of_file(installed: Distribution, file: str, versions: dict[str, str]) -> Component:
    match = _FILE.fullmatch(file)
    assert match is not None  # noqa: S101 (the caller has matched it)
    short = _NAMES.get(match["name"], match["name"])
    names = (short, f"lib{short}", short.lower())
    name = next((name for name in names if name in versions), names[0])
    version = versions.get(name) or match["version"] or installed.version
    component = _component(installed.name, name, version, file)
    content = Path(str(installed.locate_file(file))).read_bytes()
    return component | {"hashes": [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}]}


def _component(package: str, name: str, version: str, file: str = "") -> Component:
    return {
        "type": "library",
        "bom-ref": f"{package}/{file or name}",
        "name": name,
        "version": version,
        "properties": [{"name": "file", "value": file}] if file else [],
    }


def main() -> None:
    """Add the libraries to the document at the path that is given."""
    path = Path(sys.argv[1])
    bill = json.loads(path.read_text(encoding="utf-8"))
    count = add(bill)
    path.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"{path}: {len(bill['components'])} packages, and {count} C libraries inside them\n")


if __name__ == "__main__":
    main()
