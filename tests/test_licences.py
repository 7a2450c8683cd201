"""Licences of the service's libraries, as their metadata state them: none may impose its terms on the service."""

import re
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

SERVICE = "agcnn-triage"
EXTRAS = ("cpu", "postgres", "s3", "scale", "traces")

# Unmodified libraries that users can replace, which is what the LGPL requires.
LESSER = {"psycopg", "psycopg-binary"}
_GPL = re.compile(r"(?<![A-Za-z])A?GPL|(?<!Lesser )General Public License|Affero", re.IGNORECASE)
_LESSER = re.compile(r"LGPL|(Library or )?Lesser General Public License", re.IGNORECASE)


def closure(root: str, extras: tuple[str, ...]) -> tuple[set[str], set[str]]:
    """Return the installed dependencies of a distribution, and the ones that are not installed."""
    queue, visited, missing = [(root, extra) for extra in ("", *extras)], set[tuple[str, str]](), set[str]()
    while queue:
        name, extra = queue.pop()
        try:
            requirements = metadata.distribution(name).requires or ()
        except metadata.PackageNotFoundError:
            missing.add(name)
            continue
        visited.add((name, extra))
        for requirement in map(Requirement, requirements):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                name = canonicalize_name(requirement.name)
                queue += {(name, inner) for inner in ("", *requirement.extras)} - visited
    return {name for name, _ in visited} - {root}, missing


def licence(name: str) -> str:
    fields = metadata.metadata(name)
    classifiers = [text for text in fields.get_all("Classifier") or () if text.startswith("License ::")]
    return fields.get("License-Expression") or " ".join(classifiers) or fields.get("License") or ""


LIBRARIES, MISSING = closure(SERVICE, EXTRAS)


def test_the_libraries_are_complete() -> None:
    assert {"pydicom", "onnxruntime", "starlette", "pydantic-core"} <= LIBRARIES
    assert not MISSING


@pytest.mark.parametrize("name", sorted(LIBRARIES))
def test_a_library_states_a_licence_other_than_the_gpl(name: str) -> None:
    stated = licence(name)

    assert stated, "no licence stated"
    assert not is_gpl(stated), stated
    assert not _LESSER.search(stated) or name in LESSER, stated


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
def test_the_gpl_is_recognised(licence: str, gpl: bool) -> None:
    assert is_gpl(licence) is gpl
