"""The sections of the report in their order: id to heading. One whose key is not in `metrics.json` is left out."""

from collections.abc import Mapping
from typing import Any

SECTIONS: Mapping[str, str] = {
    "what": "What was evaluated",
    "flow": "Patient flow",
    "table-one": "Patients and images (Table 1)",
    "headline": "Headline: macro AUROC",
    "findings": "Each finding (fusion branch)",
    "curves": "Curves",
    "points": "Operating points",
    "triage": "Triage",
    "groups": "Subgroups (fusion branch)",
    "adjudicated": "Against radiologists",
    "external": "External sets",
    "differences": "Does the local branch help?",
    "places": "Where the network looks",
    "failures": "Failures",
    "pictures": "Radiographs",
    "reading": "How to read this",
    "checklists": "Reporting checklists",
}
# Sections that need a key of `metrics.json`; the others are always there, and say if they have nothing to show.
KEYS: Mapping[str, str] = {
    "flow": "flow",
    "table-one": "characteristics",
    "triage": "triage",
    "adjudicated": "adjudicated",
    "external": "external",
    "failures": "failures",
}


def present(metrics: Mapping[str, Any], checklists: bool) -> dict[str, str]:
    """Return id and heading of the sections of a report in their order, with or without checklists."""
    return {
        name: heading
        for name, heading in SECTIONS.items()
        if (metrics.get(KEYS[name]) if name in KEYS else checklists or name != "checklists")
    }
