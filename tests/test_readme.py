"""What the documentation says is what the code has."""

import re
import runpy
import tomllib

from service.artefact.file import load
from service.settings import SHIPPED_ARTEFACT
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_its_numbers_are_those_of_the_artefact() -> None:
    assert runpy.run_path(str(ROOT / "bench" / "shipped.py"))["section"]() in README


def test_every_path_it_links_is_there() -> None:
    links = re.findall(r"\]\((?!http)([^)]+)\)", README)
    assert links
    assert all((ROOT / link).exists() for link in links)


def test_it_says_what_it_is_not() -> None:
    assert "Research use only. Not a medical device." in README


def test_the_artefact_was_trained_on_what_notice_and_card_say() -> None:
    card = load(SHIPPED_ARTEFACT).card
    assert all(one.images > 0 and one.patients > 0 for one in card.training_data)
    assert {metric.split for metric in card.metrics} >= {"test", "test, collection B"}


def test_every_dependency_has_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    every = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    assert all(re.fullmatch(r"[\w.\[\],-]+>=[\w.]+,<[\w.]+", one) for one in every)
    assert not any("pylibjpeg-libjpeg" in one for one in every)  # GPL
