"""A reader gives opinions in the viewer, and a manager finds them counted on the page of statistics."""

import csv
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe

from service.http.statistics import week_name
from tests.service.web.chromium import Modules, Tab
from tests.service.web.running import post, radiograph

LABEL_IN_NAME = {"rules": {"label-content-name-mismatch": {"enabled": True}}}  # beside all that axe runs by itself


@pytest.fixture(scope="module")
def prediction(service: httpx.Client) -> dict[str, Any]:
    return post(service, radiograph(1))


def given(service: httpx.Client, prediction: dict[str, Any], part: str = "items") -> list[tuple[str, str | None]]:
    opinions = service.get(f"/v1/predictions/{prediction['id']}/opinions").json()[part]
    return [(opinion["by"], opinion["opinion"]) for opinion in opinions]


def test_a_reader_agrees_withdraws_and_disagrees(tab: Tab, service: httpx.Client, prediction: dict[str, Any]) -> None:
    path = f"/v1/predictions/{prediction['id']}/opinions"
    service.post(path, json={"label": "Mass", "opinion": "agree", "by": "CD"}).raise_for_status()
    with tab.page.expect_response("**/opened"):
        tab.view(prediction["id"])
    agree = tab.page.get_by_role("button", name=re.compile(r"^Agree: Mass, as 1 other$"))
    disagree = tab.page.get_by_role("button", name=re.compile(r"^Disagree: Mass$"))
    agree.wait_for()

    tab.page.evaluate("() => sessionStorage.removeItem('triage-reader-asked')")
    agree.click()  # without a name: the page asks for it
    tab.page.fill("#reader-answer", "")
    tab.page.locator("#reader-dialog button[value]").click()
    tab.page.wait_for_selector("#toast:has-text('Enter your initials first')")
    assert tab.page.evaluate("() => document.activeElement.id") == "reader"
    assert given(service, prediction) == [("CD", "agree")]
    tab.page.keyboard.type("AB")

    agree.focus()
    tab.key("Enter").page.wait_for_selector('#opinions [aria-pressed="true"]')
    assert given(service, prediction) == [("CD", "agree"), ("AB", "agree")]
    assert agree.get_attribute("title") == "Agree; also CD"
    assert tab.page.evaluate("() => document.activeElement.ariaPressed") == "true"  # the focus stays
    tab.key("Enter").page.wait_for_selector('#opinions:not(:has([aria-pressed="true"]))')
    disagree.click()
    tab.page.wait_for_selector("#toast:has-text('Mass: you disagree')")

    assert given(service, prediction) == [("CD", "agree"), ("AB", "disagree")]
    assert given(service, prediction, "history") == [
        *(("CD", "agree"), ("AB", "agree"), ("AB", None), ("AB", "disagree"))
    ]
    heights = (
        "rows => rows.map(row => { const { top, height } = row.getBoundingClientRect(); return top + height / 2; })"
    )
    bars, opinions = (tab.page.locator(f"#{list} > li").evaluate_all(heights) for list in ("bars", "opinions"))
    assert bars == pytest.approx(opinions, abs=1)  # each finding beside its buttons
    assert service.get(f"/v1/worklist/{prediction['id']}").json()["opened"]
    assert Axe().run(tab.page, options=LABEL_IN_NAME).response["violations"] == []


def test_all_columns_of_a_plot_have_one_scale(modules: Modules) -> None:
    heights = """(plots, rows) => {
        const [, plot] = plots.columnPlot("", ["W1", "W2"], rows, 1000);
        return [...plot.querySelectorAll("rect.solid")].map((column) => Number(column.getAttribute("height")));
    }"""
    rows = [{"name": "High", "values": [28, 0]}, {"name": "STAT", "values": [7, 14]}]
    assert modules.call("plot.js", heights, rows) == [28, 7, 14]
    rows[1]["values"] = [1, 2800]
    assert modules.call("plot.js", heights, rows) == [1, 1, 28], "a small number can still be seen"


def test_a_manager_reads_the_statistics(
    tab: Tab, service: httpx.Client, prediction: dict[str, Any], tmp_path: Path
) -> None:
    service.post(f"/v1/predictions/{prediction['id']}/opened").raise_for_status()
    opinion = {"label": "Nodule", "opinion": "disagree", "by": "EF"}
    service.post(f"/v1/predictions/{prediction['id']}/opinions", json=opinion).raise_for_status()
    refused = service.post("/v1/predictions", content=b"text", headers={"Content-Type": "application/dicom"}).json()
    deadline = time.monotonic() + 60
    while not service.get("/v1/statistics").json()["refusals"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    tab.open().listed()

    tab.page.get_by_role("link", name="Statistics").click()

    tab.page.wait_for_selector("#measures:not([hidden])")
    assert tab.page.url.endswith("/statistics")
    priority = {"STAT": "STAT", "HIGH": "High", "ROUTINE": "Routine"}[prediction["priority"]]
    assert f"{priority}: 1" in tab.page.locator("#arrivals svg text").all_text_contents()
    assert f"{priority}, from receipt to opened" in tab.page.locator("#waiting svg text").all_text_contents()
    assert "1 disagree" in tab.page.locator("#opinions svg text").all_text_contents()
    reason = refused["code"].replace("_", " ").capitalize().replace("dicom", "DICOM")
    tab.page.locator("#refusals summary").click()
    cells = tab.page.locator("#refusals tr", has=tab.page.get_by_role("rowheader", name=reason)).locator("td")
    *weeks, total = cells.all_inner_texts()
    assert (sorted(weeks), total) == (["0"] * 11 + ["1"], "1")  # twelve, of which the last may have begun since

    with tab.page.expect_download() as download:
        tab.page.get_by_role("button", name="Save CSV").click()
    download.value.save_as(tmp_path / "statistics.csv")
    with (tmp_path / "statistics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["week", "measure", "group", "statistic", "value"]
    week = week_name(datetime.fromisoformat(prediction["created"]).date())
    assert [week, "arrivals", prediction["priority"], "count", "1"] in rows

    assert Axe().run(tab.page, options=LABEL_IN_NAME).response["violations"] == []
    tab.page.emulate_media(forced_colors="active")
    colours = (
        "plot => [plot.querySelector('text'), plot.querySelector('.solid')].map(one => getComputedStyle(one).fill)"
    )
    ground = tab.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert ground not in tab.page.locator("#arrivals > .scroller").evaluate(colours)
    tab.page.emulate_media(forced_colors="none")

    day = str(datetime.now(UTC).date() - timedelta(days=7))
    tab.page.fill("#first", day)
    tab.page.fill("#last", day)
    tab.page.get_by_role("button", name="Show").click()
    tab.page.wait_for_selector("#arrivals:has-text('None in this period')")
    assert tab.page.url.endswith(f"?first={day}&last={day}")
    tab.page.go_back()
    tab.page.wait_for_selector("#arrivals svg[role=img]")
    tab.page.get_by_role("link", name="Worklist").click()
    assert tab.listed() == [prediction["id"]]
