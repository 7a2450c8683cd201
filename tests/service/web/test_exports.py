"""What a reader takes along: text, picture, paper."""

from io import BytesIO

import httpx
import numpy as np
from PIL import Image

from tests.service.web.chromium import Tab
from tests.service.web.running import post, radiograph


def test_findings_are_copied_saved_and_printed_with_who_and_why(tab: Tab, service: httpx.Client) -> None:
    study = {"StudyDate": "20250305", "StudyTime": "101530.5", "AccessionNumber": "A/7 b"}
    prediction = post(service, radiograph(31, (300, 400), **study))
    tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.view(prediction["id"]).key("h").key("b").settled()

    tab.page.click("#copy-findings")
    tab.page.wait_for_selector("#toast:has-text('Findings copied')")
    text = tab.page.evaluate("() => navigator.clipboard.readText()")
    when, why = text.splitlines()[1:3]
    assert when == "Chest radiograph, 2025-03-05 10:15, accession A/7 b"
    assert why == f"STAT: {tab.text('#sentence')}"
    assert "Warning: Low resolution" in text
    for one in prediction["findings"]:
        name = one["label"].replace("_", " ").capitalize()
        assert f"\n{name}: {one['probability']:.2f} (" in text
    assert text.endswith("Research use only. Not a medical device.")

    with tab.page.expect_download() as started:
        tab.page.click("#save-picture")
    assert started.value.suggested_filename == "radiograph-A-7-b.png"
    picture = np.asarray(Image.open(started.value.path()).convert("RGB")).astype(int)
    tab.page.locator(".corner, .edge").evaluate_all("all => all.forEach((one) => { one.hidden = true; })")
    stage = tab.page.locator(".pane").bounding_box()
    assert stage is not None
    screen = np.asarray(Image.open(BytesIO(tab.page.screenshot(clip=stage))).convert("RGB")).astype(int)  # type: ignore[arg-type]
    inside = np.s_[4 : len(screen) - 4, 4 : screen.shape[1] - 4]  # the focus is drawn around it
    assert np.abs(picture[: len(screen)][inside] - screen[inside]).max() <= 8
    assert len(picture) == len(screen) + 90
    assert (picture[len(screen) :] > 200).any(), "whose it is, and the notice"

    tab.page.evaluate("() => { window.print = () => { window.printed = true; }; }")
    tab.page.click("#print")
    tab.page.wait_for_function("() => window.printed")
    assert tab.page.text_content("#printout pre") == text
    tab.page.emulate_media(media="print")
    assert tab.page.locator("#printout img").is_visible()
    assert not tab.page.locator("#viewer").is_visible()
