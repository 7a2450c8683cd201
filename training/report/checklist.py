"""The checklists CLAIM 2024 and TRIPOD+AI, filled from the documents of a run as far as a machine can."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

from service.artefact.card import NOTICE

FILE = "checklist.toml"

State = Literal["answered", "partly", "left to people"]
Documents = Mapping[str, Any]


@dataclass(frozen=True)
class Item:
    """One item of a guideline, in our own words.

    Attributes
    ----------
    needs
        Paths of keys such as `metrics.flow`; the documents answer the item if they contain them.
    section
        Id of the section of the report with the answer; empty for none.
    where
        Another place with the answer; empty for none.
    people
        What no document can say; empty for nothing.
    """

    number: str
    topic: str
    needs: tuple[str, ...] = ()
    section: str = ""
    where: str = ""
    people: str = ""


@dataclass(frozen=True)
class Guideline:
    """A reporting guideline with its items."""

    name: str
    reference: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Answer:
    """An item and whether the documents answer it; an item that they do not answer has no place."""

    item: Item
    state: State
    section: str
    where: str


def guidelines() -> tuple[Guideline, ...]:
    """Read the guidelines from the file of this package."""
    table = tomllib.loads(files("training.report").joinpath(FILE).read_text(encoding="utf-8"))
    return tuple(
        Guideline(each["name"], each["reference"], tuple(item(**row) for row in each["items"]))
        for each in table.values()
    )


def item(
    number: str, topic: str, needs: Iterable[str] = (), section: str = "", where: str = "", people: str = ""
) -> Item:
    """Return an item from a row of the file."""
    return Item(number, topic, tuple(needs), section, where, people)


def answer(each: Item, documents: Documents) -> Answer:
    """Say whether the documents answer an item: wholly, partly, or not at all.

    Parameters
    ----------
    documents
        Name to content of `run`, `plan`, `metrics` and `card`.
    """
    present = [contains(documents, path) for path in each.needs]
    if not any(present):
        return Answer(each, "left to people", "", "")
    state: State = "answered" if all(present) and not each.people else "partly"
    return Answer(each, state, each.section, each.where)


def contains(documents: Documents, path: str) -> bool:
    """Return whether a document has a key with content; null, and an empty text, list or table, are none."""
    content: Any = documents
    for name in path.split("."):
        if not isinstance(content, Mapping) or name not in content:
            return False
        content = content[name]
    return content is not None and content not in ("", [], {}, ())


def answers(documents: Documents) -> list[tuple[Guideline, list[Answer]]]:
    """Answer every item of every guideline."""
    return [(each, [answer(one, documents) for one in each.items]) for each in guidelines()]


def tally(answered: Iterable[Answer]) -> dict[State, int]:
    """Count the answers of each state."""
    states = [each.state for each in answered]
    return {state: states.count(state) for state in ("answered", "partly", "left to people")}


def markdown(filled: Iterable[tuple[Guideline, list[Answer]]], sections: Mapping[str, str]) -> str:
    """Return the checklists as a Markdown document.

    Parameters
    ----------
    sections
        Id to heading of the report's sections.
    """
    return "\n".join(["# Reporting checklists", "", NOTICE, "", MEANING, *tables(filled, sections)]) + "\n"


MEANING = (
    "*Answered* means that the documents of the run contain what the item asks for, not that it is good enough; "
    "*partly*, that people must add what the last column names. The topics are our own short words: read the guideline."
)


def tables(filled: Iterable[tuple[Guideline, list[Answer]]], sections: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of one table for each guideline."""
    for guideline, answered in filled:
        counted = ", ".join(f"{count} {state}" for state, count in tally(answered).items())
        yield from ("", f"## {guideline.name}", "", f"{guideline.reference}. {len(answered)} items: {counted}.", "")
        yield from ("| item | topic | state | where | left to people |", "|---|---|---|---|---|")
        for each in answered:
            places = [f"report.html, {sections[each.section]}"] if each.section else []
            places += [each.where] if each.where else []
            cells = [each.item.number, each.item.topic, each.state, "; ".join(places), each.item.people]
            yield "| " + " | ".join(cells) + " |"
