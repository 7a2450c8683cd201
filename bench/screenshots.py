"""Take the screenshots for README and docs, with the phantoms in `samples/`: `python -m bench.screenshots`."""

import tempfile
from io import BytesIO
from pathlib import Path

import httpx
import pydicom
from PIL import Image
from playwright.sync_api import Browser

from service.settings import SHIPPED_ARTEFACT
from tests.service.web.chromium import Tab, chromium
from tests.service.web.running import post, running

ROOT = Path(__file__).parents[1]
SIZE = (1366, 768)
MAX_BYTES = 400_000
SAMPLES = ("effusion", "cardiomegaly", "nodule_monochrome1", "normal", "pneumothorax")
COPIES = 2  # each sample is sent this often, as different patients, so that the list is longer


def files() -> list[bytes]:
    """Return every sample, and every sample again as another study."""
    return [
        _copy(ROOT / "samples" / f"{name}.dcm", copy, number)
        for copy in range(COPIES)
        for number, name in enumerate(SAMPLES)
    ]


def _copy(path: Path, copy: int, number: int) -> bytes:
    if not copy:
        return path.read_bytes()
    dataset = pydicom.dcmread(path)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"2.25.41{number}"
    dataset.StudyInstanceUID = f"2.25.42{number}"
    dataset.PatientName, dataset.PatientID = f"PHANTOM^COPY {number + 1}", f"PHANTOM-COPY-{number + 1}"
    dataset.AccessionNumber, dataset.PatientAge = f"PH40{number}", f"0{31 + 9 * number}Y"
    if number % 2:
        del dataset.ViewPosition
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def take(browser: Browser, client: httpx.Client, folder: Path) -> None:
    tab = Tab(browser, str(client.base_url).rstrip("/"), SIZE)
    tab.open()
    first, *_ = tab.listed()
    tab.page.fill("#reader", "AB")
    tab.page.locator("#rows .mark").last.click()
    tab.page.wait_for_selector("#rows tr.read")
    tab.page.locator("h1").click()
    save(tab, folder / "worklist.png")
    tab.view(first)
    tab.page.mouse.move(5, 5)
    save(tab, folder / "viewer.png")
    tab.close()


def save(tab: Tab, path: Path) -> None:
    """Save a screenshot in full colour: a palette would add steps to the attention map."""
    Image.open(BytesIO(tab.page.screenshot())).convert("RGB").save(path, optimize=True)
    size = path.stat().st_size
    assert size <= MAX_BYTES, f"{path.name} has {size} bytes"
    print(path.relative_to(ROOT), size)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, running(SHIPPED_ARTEFACT, Path(folder)) as client:
        for data in files():
            post(client, data)
        with chromium() as browser:
            take(browser, client, ROOT / "docs")


if __name__ == "__main__":
    main()
