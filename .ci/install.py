"""Install packages with pip, and say which one is being fetched: pip itself says nothing for a minute, or too much."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence

_FETCHED = re.compile(r"\s*(?:Downloading|Using cached) (?:\S*/)?([\w.]+)-([\w.!+]+)-\S*\.whl \((.*)\)")
_QUIET = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore", "PYTHONUNBUFFERED": "1"}


def install(arguments: Sequence[str]) -> int:
    """Run `pip install`; return its exit status. Its whole output, with its warnings, is printed only if it fails."""
    command = [sys.executable, "-m", "pip", "install", *arguments]
    output: list[str] = []
    _say("  looking up the packages ...")
    with subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | _QUIET
    ) as process:
        for line in process.stdout or ():
            output.append(line)
            if short := _short(line):
                _say(short)
    if process.returncode:
        sys.stderr.writelines([*output, "The installation failed; the lines above are pip's.\n"])
    return process.returncode


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _short(line: str) -> str:
    if fetched := _FETCHED.match(line):
        return "  {} {} ({})".format(*fetched.groups())
    return "  unpacking them ..." if line.startswith("Installing collected packages") else ""


if __name__ == "__main__":
    sys.exit(install(sys.argv[1:]))
