"""Several measurements are drawn, kept with name and time, shown to other readers, deleted, and in the report."""

from io import BytesIO
from typing import Any

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser
from pydicom import dcmread

from tests.service.web.chromium import Modules, Tab
from tests.service.web.running import post, radiograph

LIST = "#measurement-list li"
HEIGHT, WIDTH = 280, 260


def drag(tab: Tab, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag from one point of the image to another."""
    tab.page.mouse.move(*on_screen(tab, *start))
    tab.page.mouse.down()
    tab.page.mouse.move(*on_screen(tab, *end), steps=2)
    tab.page.mouse.up()


def on_screen(tab: Tab, column: float, row: float) -> tuple[float, float]:
    box = tab.page.locator("canvas.radiograph").bounding_box()
    assert box is not None
    return box["x"] + column * box["width"] / WIDTH, box["y"] + row * box["height"] / HEIGHT


def listed(tab: Tab, number: int) -> list[str]:
    """Wait for a number of measurements in the panel, and return their first lines."""
    tab.page.wait_for_function(f"() => document.querySelectorAll('{LIST}').length === {number}")
    # Not the inner text, which has no line breaks until the panel has been laid out.
    spans = tab.page.locator(f"{LIST} span:not(.quiet)")
    lines: list[str] = spans.evaluate_all("spans => spans.map(span => span.firstChild.textContent.trim())")
    return lines


def report(service: httpx.Client, prediction: dict[str, Any]) -> tuple[str, list[float], list[str]]:
    """Return the UID of the report that DICOMweb has, its numbers with coordinates, and the UIDs that it names."""
    study = f"/dicom-web/studies/{prediction['study_instance_uid']}"
    (found,) = service.get(f"{study}/instances", params={"Modality": "SR"}).json()
    path = httpx.URL(found["00081190"]["Value"][0]).path
    document = dcmread(BytesIO(service.get(path, headers={"Accept": "application/dicom"}).content))
    (container,) = [one for one in document.ContentSequence if one.ConceptNameCodeSequence[0].CodeValue == "126010"]
    numbers = [
        float(one.MeasuredValueSequence[0].NumericValue)
        for group in container.ContentSequence[1:]
        for one in group.ContentSequence
        if one.ValueType == "NUM"
    ]
    earlier = [
        one.ReferencedSOPInstanceUID
        for study_item in document.get("PredecessorDocumentsSequence", [])
        for series in study_item.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    ]
    return document.SOPInstanceUID, numbers, earlier


def test_they_are_drawn_kept_shown_to_others_deleted_and_in_the_report(
    tab: Tab, browser: Browser, service: httpx.Client
) -> None:
    prediction = post(service, radiograph(880, (HEIGHT, WIDTH), ImagerPixelSpacing=[0.5, 0.5]))
    first, _, _ = report(service, prediction)
    tab.view(prediction["id"])
    tab.page.fill("#reader", "AB")
    tab.key("Escape").key("l")
    drag(tab, (100, 50), (160, 130))  # 60, 80, 100 pixels of 0.5 mm
    listed(tab, 1)
    drag(tab, (20, 20), (60, 20))
    listed(tab, 2)
    tab.key("n")
    for column, row in ((100, 200), (50, 200), (50, 150)):
        tab.page.mouse.click(*on_screen(tab, column, row))
    listed(tab, 3)
    tab.key("c")
    drag(tab, (80, 180), (180, 170))
    assert tab.page.locator("text.length").count() == 3, "half of a ratio has no value"
    drag(tab, (30, 190), (230, 200))

    lines = listed(tab, 4)
    assert lines[0].startswith("Length 50.")
    assert lines[0].endswith("mm at the detector")
    assert lines[1].startswith(("Length 20.", "Length 19.9"))
    assert lines[2].startswith(("Angle 89.", "Angle 90."))
    assert lines[3] == "Cardiothoracic ratio 0.50"
    assert "Drawn by AB, 20" in tab.text(f"{LIST} >> nth=0")
    assert [one["id"] for one in Axe().run(tab.page).response["violations"]] == []
    second, numbers, earlier = report(service, prediction)
    assert numbers == pytest.approx([50, 20, 90, 0.5, 50, 100], rel=0.02)  # the two widths follow their ratio
    assert earlier[-1] == first
    assert len({first, second, *earlier}) == 5  # four changes

    other = Tab(browser, tab.address)
    other.view(prediction["id"])
    other.page.wait_for_selector('#live[data-state="live"]')
    assert listed(other, 4) == lines
    assert other.page.locator("text.length").nth(3).text_content() == "CTR 0.50"
    before = other.page.locator("svg.lines polyline").first.get_attribute("points")
    other.key("+").settled()
    assert other.page.locator("svg.lines polyline").first.get_attribute("points") != before, "lines follow the image"

    button = tab.page.get_by_role("button", name=f"Delete: {lines[0]}")
    button.focus()
    tab.key("Enter")

    assert listed(tab, 3) == lines[1:]
    assert tab.page.evaluate("document.activeElement.ariaLabel") == f"Delete: {lines[1]}"
    assert listed(other, 3) == lines[1:], "an open page is told"
    third, numbers, earlier = report(service, prediction)
    assert len(numbers) == 5
    assert earlier[0] == second
    assert third not in earlier
    tab.key("l")
    tab.page.mouse.click(*on_screen(tab, 10, 10))
    tab.key("Escape")
    assert tab.page.locator("#viewer").is_visible(), "Escape gives up the measurement that was begun"
    assert tab.page.reload() is not None
    assert listed(tab, 3) == lines[1:]
    other.close()
    assert other.problems() == []


@pytest.mark.parametrize(
    ("points", "aspect", "expected"),
    [
        ([(10, 0), (0, 0), (0, 5)], 1, 90),
        ([(10, 0), (0, 0), (-1, 0)], 1, 180),
        ([(2, 0), (0, 0), (2, 1)], 2, 45),  # a row is twice as high as a column is wide
    ],
)
def test_an_angle_is_that_at_the_middle_point(
    modules: Modules, points: list[tuple[int, int]], aspect: float, expected: float
) -> None:
    given = [{"x": x, "y": y} for x, y in points]

    assert modules.call("angle.js", "(m, ...given) => m.angle(...given)", given, aspect) == pytest.approx(expected)


def test_an_event_before_the_answer_shows_nothing_twice_and_leaves_the_lines_of_the_list(modules: Modules) -> None:
    script = """async ({ Measurements }) => {
        document.body.innerHTML = `<input id="reader"><b id="toast"></b><b id="stage"></b>
            <div id="measurements"><ul id="measurement-list"></ul></div>`;
        const stored = [];
        const pause = () => new Promise((resolve) => setTimeout(resolve, 100));
        let answer = () => {};
        window.fetch = async (address, { method, body }) => {
            if (method !== "POST") return Response.json({ items: stored });
            const value = { value: 7, unit: "px", spacing_from: null };
            stored.push({ ...JSON.parse(body), ...value, id: "a", at: "2026-05-04T00:00", by: "" });
            await new Promise((resolve) => (answer = resolve));
            return Response.json(stored[0]);
        };
        const measurements = new Measurements(() => {});
        const [raster, header] = [{ width: 9, height: 9 }, { spacing: null, aspect: 1 }];
        measurements.open({ prediction: { id: "p" }, raster, header });
        measurements.measuring.use("length");
        measurements.measuring.press({ x: 1, y: 1 });
        measurements.measuring.move({ x: 8, y: 1 });
        measurements.measuring.release(1);
        const event = measurements.refresh();
        await pause();
        const before = measurements.drawings.length;
        answer();
        await event;
        const line = document.querySelector("#measurement-list li");
        await measurements.refresh();
        return [before, measurements.drawings.length, line.isConnected];
    }"""
    assert modules.call("measurements.js", script) == [1, 1, True]
