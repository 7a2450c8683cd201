"""Take the screenshots for README and docs, with radiographs of the NIH: `python -m bench.screenshots`.

The radiographs are the test list of `nih-subset` within its collection B, which are public and de-identified;
AGCNN_REALDATA or ../shared/data has them. Names, accession numbers and times are made up.
"""

import csv
import tempfile
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
from PIL import Image
from playwright.sync_api import Browser

from bench.prevalence import DATA, ROOT
from service.settings import SHIPPED_ARTEFACT
from tests.factories import dicom_bytes
from tests.service.web.chromium import Tab, chromium
from tests.service.web.running import post, running

FOLDER = DATA / "nih-subset"
SIZE = (1366, 768)
MAX_BYTES = 700_000
COLLECTION = "B"  # enriched for findings
VISIBLE = 13  # rows of the list
PICTURES = "(count) => [...document.querySelectorAll('#rows img')].slice(0, count).every((image) => image.naturalWidth)"
FAMILY = ("Adler", "Brook", "Castell", "Dubois", "Eriksen", "Farkas", "Greene", "Hartmann", "Ito", "Jansen", "Kowal")
GIVEN = ("Ada", "Bo", "Cora", "Dan", "Elin", "Finn", "Gia")


def files() -> list[bytes]:
    """Return the radiographs as DICOM, with the published age, sex and view."""
    rows = {row["Image Index"]: row for row in read("Data_Entry_2017_v2020.csv")}
    listed = [row for row in read("collections.csv") if (row["collection"], row["split"]) == (COLLECTION, "test")]
    return [dicom(rows[row["Image Index"]], number) for number, row in enumerate(listed)]


def read(table: str) -> list[dict[str, str]]:
    """Read one of the data set's tables."""
    with (FOLDER / table).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def dicom(row: dict[str, str], number: int) -> bytes:
    """Return one image with a made-up name, and the identifier of the data set's patient."""
    [path] = (FOLDER / "images").glob(f"{Path(row['Image Index']).stem}.*")
    patient = int(row["Patient ID"])
    return dicom_bytes(
        np.asarray(Image.open(path).convert("L")),
        SOPInstanceUID=f"2.25.41{number}",
        StudyInstanceUID=f"2.25.42{number}",
        PatientName=f"{FAMILY[patient % len(FAMILY)]}^{GIVEN[patient % len(GIVEN)]}",
        PatientID=f"NIH-{patient}",
        PatientSex=row["Patient Gender"],
        PatientAge=f"{int(row['Patient Age'].rstrip('Y')):03d}Y",
        AccessionNumber=f"X{1000 + number}",
        StudyDate="20260105",
        StudyTime=f"{7 + number // 8:02d}{7 * (number % 8):02d}00",
        StudyDescription="Chest",
        ViewPosition=row["View Position"],
    )


def take(browser: Browser, client: httpx.Client, folder: Path) -> None:
    """Save the worklist, its first radiograph, and the same with its map."""
    tab = Tab(browser, str(client.base_url).rstrip("/"), SIZE)
    tab.open()
    first, *_ = tab.listed()
    tab.page.fill("#reader", "AB")
    tab.page.wait_for_function(PICTURES, arg=VISIBLE)
    tab.page.locator("h1").click()
    save(tab, folder / "worklist.png")
    tab.view(first)
    tab.page.mouse.move(5, 5)
    save(tab, folder / "viewer.png")
    tab.key("h").settled()
    save(tab, folder / "map.png")
    tab.close()


def save(tab: Tab, path: Path) -> None:
    """Save a screenshot in full colour: a palette would add steps to the map."""
    Image.open(BytesIO(tab.page.screenshot())).convert("RGB").save(path, optimize=True)
    size = path.stat().st_size
    assert size <= MAX_BYTES, f"{path.name} has {size} bytes"
    print(path.relative_to(ROOT), size)


def main() -> None:
    """Send the radiographs to a service of their own, and take the pictures."""
    with tempfile.TemporaryDirectory() as folder, running(SHIPPED_ARTEFACT, Path(folder)) as client:
        for data in files():
            post(client, data)
        with chromium() as browser:
            take(browser, client, ROOT / "docs")


if __name__ == "__main__":
    main()
