"""README agrees with the artefact and the repository."""

import re
import runpy
import tomllib
from itertools import chain

from service.artefact.file import load
from service.settings import SHIPPED_ARTEFACT
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_its_table_has_the_numbers_of_the_artefact() -> None:
    assert runpy.run_path(str(ROOT / "bench" / "shipped.py"))["section"]() in README


def test_every_path_it_links_to_exists() -> None:
    links = re.findall(r"\]\((?!http)([^)]+)\)", README)
    assert links
    assert all((ROOT / link).exists() for link in links)


def test_it_says_that_it_is_no_medical_device() -> None:
    assert "Research use only. Not a medical device." in README


def test_the_card_of_the_artefact_names_its_training_data_and_test_lists() -> None:
    card = load(SHIPPED_ARTEFACT).card
    assert all(data.images and data.patients for data in card.training_data)
    assert {metric.split for metric in card.metrics} >= {"test"}


def test_every_dependency_has_a_lower_and_an_upper_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    dependencies = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    bounded = re.compile(r"[\w.\[\],-]+>=[\w.]+,<[\w.]+(; platform_system == 'Linux')?")
    assert all(map(bounded.fullmatch, dependencies))
    assert not any("pylibjpeg-libjpeg" in dependency for dependency in dependencies)  # it is under the GPL
