"""Under what terms the service's libraries come, as they say themselves: nothing that would bind what uses it."""

import re
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SERVICE = "agcnn-triage"
EXTRAS = ("cpu", "postgres")
NOT_NEEDED_FOR_TESTS = {"psycopg"}  # LGPL-3.0-only; only the image has it

# Used as they are published, as libraries that anyone may replace, which the LGPL asks for and no more.
LESSER = {"psycopg", "psycopg-binary"}
_GPL = re.compile(r"(?<![A-Za-z])A?GPL|(?<!Lesser )General Public License|Affero", re.IGNORECASE)
_LESSER = re.compile(r"LGPL|(Library or )?Lesser General Public License", re.IGNORECASE)


def closure(root: str, extras: tuple[str, ...]) -> tuple[set[str], set[str]]:
    """Everything that is installed with it, and what would be but is not."""
    waiting, seen, missing = [(root, extra) for extra in ("", *extras)], set[tuple[str, str]](), set[str]()
    while waiting:
        name, extra = waiting.pop()
        try:
            wanted = metadata.distribution(name).requires or ()
        except metadata.PackageNotFoundError:
            missing.add(name)
            continue
        seen.add((name, extra))
        for one in map(Requirement, wanted):
            if one.marker is None or one.marker.evaluate({"extra": extra}):
                found = {(canonicalize_name(one.name), inner) for inner in ("", *one.extras)}
                waiting += found - seen
    return {name for name, _ in seen} - {root}, missing


def licence(name: str) -> str:
    said = metadata.metadata(name)
    classifiers = [one for one in said.get_all("Classifier") or () if one.startswith("License ::")]
    return said.get("License-Expression") or " ".join(classifiers) or said.get("License") or ""


LIBRARIES, MISSING = closure(SERVICE, EXTRAS)


def test_the_libraries_are_known() -> None:
    assert {"pydicom", "onnxruntime", "starlette", "pydantic-core"} <= LIBRARIES
    assert MISSING <= NOT_NEEDED_FOR_TESTS


@pytest.mark.parametrize("name", sorted(LIBRARIES))
def test_a_library_says_its_licence_and_it_is_not_the_gpl(name: str) -> None:
    said = licence(name)

    assert said, "no licence stated"
    assert not is_gpl(said), said
    assert not _LESSER.search(said) or name in LESSER, said


def is_gpl(licence: str) -> bool:
    return bool(_GPL.search(_LESSER.sub("", licence)))


@pytest.mark.parametrize(
    ("licence", "gpl"),
    [
        ("MIT", False),
        ("LGPL-3.0-only", False),
        ("License :: OSI Approved :: GNU Library or Lesser General Public License (LGPL)", False),
        ("GPL-3.0-or-later", True),
        ("AGPL-3.0", True),
        ("License :: OSI Approved :: GNU General Public License v3 (GPLv3)", True),
        ("GNU Affero General Public License", True),
    ],
)
def test_the_gpl_is_told_from_others(licence: str, gpl: bool) -> None:
    assert is_gpl(licence) is gpl
