"""The page with an artefact of five labels and without a second look."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.service.web.chromium import Tab
from tests.service.web.running import post, radiograph, running


@pytest.fixture(scope="module")
def shown(browser: Browser, five_labels: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with running(five_labels, tmp_path_factory.mktemp("five")) as client:
        prediction = post(client, radiograph(1))
        tab = Tab(browser, str(client.base_url).rstrip("/")).view(prediction["id"])
        yield tab
        tab.close()
        assert tab.problems() == []


def test_findings_and_the_missing_second_look_are_in_words(shown: Tab) -> None:
    assert shown.text("#sentence") == "Pneumothorax. Also Enlarged cardiomediastinum, Épanchement pleural"
    labels = shown.page.locator("#bars .label").all_inner_texts()
    assert sorted(labels[:3]) == ["Enlarged cardiomediastinum", "Pneumothorax", "Épanchement pleural"]
    assert labels[3:] == ["Lung opacity", "Fracture"]
    assert shown.text("#bars .untrained .quiet") == "not evaluated: not in the training data"
    assert shown.text("#crop-caption") == "Region in the attention box; this model takes no second look at it"


def test_an_untrained_label_can_be_neither_chosen_nor_filtered_by(shown: Tab) -> None:
    labels = ["Pneumothorax", "Enlarged Cardiomediastinum", "Épanchement_pleural", "Lung Opacity"]
    for menu, expected in (("#map", ["none", *labels, ""]), ('[name="finding"]', ["", *labels])):
        options = shown.page.locator(f"{menu} option").evaluate_all("all => all.map((one) => one.value)")
        assert options == expected
    assert shown.page.locator("#bars button").count() == 4


def test_long_labels_are_shown_whole(shown: Tab) -> None:
    widths = "all => all.map((one) => [one.scrollWidth, one.clientWidth])"
    for wide, room in shown.page.locator("#bars .label").evaluate_all(widths):
        assert wide <= room


def test_there_is_one_score_and_no_display_of_branches(shown: Tab) -> None:
    assert shown.page.locator("#bars .probability").count() == 4
    assert not shown.page.locator('[data-key="s"]').is_visible()
    shown.key("s")
    shown.page.wait_for_selector("#toast:has-text('no second look')")
    assert not shown.page.locator("#bars .scores").first.is_visible()
