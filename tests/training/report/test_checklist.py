import re
from dataclasses import replace
from typing import Any

import pytest

from tests.conftest import ROOT
from training.report.checklist import Answer, Item, answer, answers, contains, guidelines, markdown, tally
from training.report.sections import SECTIONS

# Items with letters in Collins et al., BMJ 2024;385:e078378, table 2; the others of the 27 have none.
LETTERED = {
    3: "abc",
    5: "ab",
    6: "abc",
    8: "abc",
    9: "abc",
    12: "abcdefg",
    18: "abcdef",
    20: "abc",
    23: "ab",
    27: "abc",
}
ITEMS = [item for guideline in guidelines() for item in guideline.items]


def test_the_numbers_are_those_of_the_guidelines() -> None:
    claim, tripod = guidelines()
    assert [item.number for item in claim.items] == [str(number) for number in range(1, 45)]
    letters = [f"{number}{letter}" for number in range(1, 28) for letter in LETTERED.get(number, [""])]
    assert [item.number for item in tripod.items] == letters
    assert len(letters) == 52


def test_every_item_has_a_key_with_a_place_or_is_left_to_people() -> None:
    for item in ITEMS:
        assert bool(item.needs) == bool(item.section or item.where), item
        assert item.needs or item.people, item
        assert not item.section or item.section in SECTIONS, item
        assert {path.split(".")[0] for path in item.needs} <= {"run", "plan", "metrics", "card"}, item


@pytest.mark.parametrize(
    "place", sorted({name for item in ITEMS for name in re.findall(r"[\w/]+\.(?:md|txt)|LICENSE", item.where)})
)
def test_places_in_the_repository_exist(place: str) -> None:
    assert (ROOT / place).is_file()


ITEM = Item("7", "Sources", ("run.data", "metrics.flow"), "flow", "card")
DOCUMENTS: dict[str, Any] = {"run": {"data": [1]}, "metrics": {"flow": {"folders": []}}}


def test_states_by_hand() -> None:
    assert answer(ITEM, DOCUMENTS) == Answer(ITEM, "answered", "flow", "card")
    with_people = replace(ITEM, people="Dates.")
    assert answer(with_people, DOCUMENTS).state == "partly"
    assert answer(ITEM, {**DOCUMENTS, "metrics": {}}).state == "partly"
    assert answer(ITEM, {}) == Answer(ITEM, "left to people", "", "")
    assert answer(Item("1", "Title", people="The title."), DOCUMENTS).state == "left to people"


@pytest.mark.parametrize("content", [None, "", [], {}])
def test_a_key_without_content_answers_nothing(content: Any) -> None:
    assert not contains({"run": {"data": content}}, "run.data")
    assert not contains({"run": content}, "run.data")


@pytest.mark.parametrize("content", [0, 0.0, False, "none", [0]])
def test_a_key_with_content_answers(content: Any) -> None:
    assert contains({"run": {"data": content}}, "run.data")


def test_the_markdown_has_a_row_for_every_item_and_names_the_section() -> None:
    filled = answers({"metrics": {"flow": {"folders": [1]}}})
    text = markdown(filled, SECTIONS)
    assert len(re.findall(r"^\| \d+[a-g]? \|", text, re.MULTILINE)) == 44 + 52
    assert "| 10 | Subsets of the data that were used | answered | report.html, Patient flow |  |" in text
    assert "| 44 | Funding | left to people |  | All of it. |" in text
    for _, answered in filled:
        assert sum(tally(answered).values()) == len(answered)
