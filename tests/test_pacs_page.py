"""The table of a destination's keys in `docs/pacs.md` agrees with the settings."""

import re
from itertools import takewhile
from pathlib import Path
from typing import get_args

from service.destinations import Destination, Protocol

HEADING = "| key | protocols | what it is |"


def test_its_table_lists_the_keys_of_a_destination(root: Path) -> None:
    page = (root / "docs" / "pacs.md").read_text(encoding="utf-8")
    lines = page.partition(f"\n{HEADING}\n")[2].splitlines()[1:]
    rows = [line.strip("|").split("|")[:2] for line in takewhile(lambda line: line.startswith("|"), lines)]

    keys = [key for names, _ in rows for key in re.findall(r"`([a-z_]+)`", names)]
    assert sorted(keys) == sorted(Destination.model_fields)
    protocols = {protocol for _, cell in rows for protocol in re.findall(r"\w+", cell)} - {"all"}
    assert protocols == set(get_args(Protocol))
