"""Print the dependencies in pyproject.toml, and those of the extras given as arguments."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
sys.stdout.write("\n".join([*project["dependencies"], *(line for extra in sys.argv[1:] for line in extras[extra])]))
