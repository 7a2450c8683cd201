"""The page under TRIAGE_TRIAGE__PRESENTATION=triage_only: priority and names, no place in the image and no number."""

from pathlib import Path

from playwright.sync_api import Browser

from tests.service.web.chromium import Tab
from tests.service.web.running import post, radiograph, running


def test_the_page_shows_priority_and_findings_and_no_place(browser: Browser, artefact: Path, tmp_path: Path) -> None:
    with running(artefact, tmp_path, TRIAGE_TRIAGE__PRESENTATION="triage_only") as service:
        prediction = post(service, radiograph(1, StudyDate="20261105"))
        post(service, radiograph(2, StudyDate="20260801"))
        tab = Tab(browser, str(service.base_url).rstrip("/"))
        page = tab.open(f"#/{prediction['id']}").page
        page.wait_for_selector("#viewer[data-shown]")

        positive = [finding["label"] for finding in prediction["findings"] if finding["positive"]]
        assert page.locator("#priority").inner_text().upper() == prediction["priority"]
        sentence = page.locator("#sentence").inner_text().casefold()
        assert all(label.replace("_", " ").casefold() in sentence for label in positive)
        for key in "hbos":  # keys that would show a map, a box, both images, or scores
            page.keyboard.press(key)
        for hidden in ("canvas.heat", "svg.lines rect", "#crop", "#bars", "#map", "#legend", '[data-pane="original"]'):
            assert not page.locator(hidden).locator("visible=true").count(), hidden
        assert page.locator("canvas.radiograph").first.is_visible()
        page.keyboard.press("p")
        page.wait_for_selector(".caption:has-text('3 months earlier')")
        assert page.locator('[data-pane="prior"] canvas.radiograph').is_visible()
        assert page.locator("#changes").inner_text() == ""
        assert page.locator(".change").count() == 0
        page.fill("#reader", "AB")
        page.locator("#opinions button").first.click()  # readers may still agree or disagree
        page.wait_for_selector('#opinions [aria-pressed="true"]')
        names = page.locator("#opinions .finding-name").all_inner_texts()
        assert len(names) == len(prediction["findings"])
        assert not any(character.isdigit() for name in names for character in name)
        page.locator("#stage").focus()
        page.keyboard.press("?")
        assert "Attention" not in page.locator("#key-lists").inner_text()
        tab.close()
        assert tab.problems() == []
