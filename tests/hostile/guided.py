"""Look for bytes that a target does not survive, guided by the branches that they take.

    .venv/bin/python -m pip install -e '.[fuzz]'
    .venv/bin/python -m tests.hostile.guided reader -max_total_time=3600

The options are libFuzzer's. New inputs are kept in `build/corpus/TARGET`; `--merge` writes the fewest of all inputs
that reach every branch to `corpus/TARGET`.
"""

import sys
from io import StringIO
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["service", "pydicom", "pynetdicom", "python_multipart"]):
    from service import telemetry
    from tests.hostile.targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")
FOUND = Path("build/corpus")
_OPTIONS = ("-timeout=10", "-rss_limit_mb=3000", "-max_len=200000")


def main() -> None:
    """Run a target until it fails or its time is over."""
    telemetry.configure(StringIO())
    name, *options = sys.argv[1:]
    kept, found = CORPUS / name, FOUND / name
    for folder in (kept, found):
        folder.mkdir(parents=True, exist_ok=True)
    if "--merge" in options:
        options[options.index("--merge")] = "-merge=1"
        options += [str(kept), str(found)]
    elif not any(option.startswith("-merge") for option in options):
        options += [str(found), str(kept)]
    again = _script(FOUND / f"{name}.sh", name)
    atheris.Setup([again, *_OPTIONS, f"-artifact_prefix={FOUND / name}-", *options], TARGETS[name])
    atheris.Fuzz()


def _script(path: Path, name: str) -> str:
    """Write what libFuzzer starts anew to merge: it takes the program's name for a file to run."""
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -m tests.hostile.guided {name} "$@"\n')
    path.chmod(0o755)
    return str(path.absolute())


if __name__ == "__main__":
    main()
