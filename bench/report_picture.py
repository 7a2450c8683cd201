"""Take the picture of a structured report in OHIF for the README: `python -m bench.report_picture`.

Needs nginx, Chromium and OHIF (`make ohif`). The radiographs are those of `bench.screenshots`; the measurement was
placed by hand.
"""

import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from bench.prevalence import ROOT
from bench.screenshots import SIZE, files
from service.objects.kinds import Kind
from service.settings import SHIPPED_ARTEFACT
from tests.ports import free_port
from tests.service.web.chromium import chromium
from tests.service.web.running import post, running
from tests.viewer.front import compose_configuration, nginx
from tests.viewer.ohif import SOFTWARE, Ohif

PICTURE = ROOT / "docs" / "report.png"
SENT = 12  # radiographs, of which the most urgent is shown
# The heart, then the thorax, as shares of the image's width and height
WIDTHS = ((0.425, 0.51), (0.735, 0.51), (0.095, 0.465), (0.92, 0.465))


def most_urgent(client: Any) -> dict[str, Any]:
    """Send radiographs, measure the most urgent one's cardiothoracic ratio, and return its prediction."""
    for data in files()[:SENT]:
        post(client, data)
    prediction: dict[str, Any] = client.get(client.get("/v1/worklist").json()["items"][0]["links"]["self"]).json()
    with Image.open(BytesIO(client.get(prediction["links"]["image"]).content)) as image:
        points = [[x * image.width, y * image.height] for x, y in WIDTHS]
    body = {"kind": "cardiothoracic_ratio", "points": points, "by": "AB"}
    client.post(prediction["links"]["measurements"], json=body).raise_for_status()
    return prediction


def main() -> None:
    """Send the radiographs, and open the report of the most urgent one."""
    with (
        tempfile.TemporaryDirectory() as name,
        running(SHIPPED_ARTEFACT, Path(name), TRIAGE_HTTP__KEYS="always") as client,
    ):
        folder, port = Path(name), free_port()
        key = (folder / "data" / "first_key").read_text().strip()
        client.headers["Authorization"] = f"Bearer {key}"
        prediction = most_urgent(client)
        with nginx(folder, compose_configuration(folder, port, client.base_url, key)), chromium(*SOFTWARE) as browser:
            tab = Ohif(browser, f"http://127.0.0.1:{port}")
            tab.page.set_viewport_size({"width": SIZE[0], "height": SIZE[1]})
            tab.open(prediction["study_instance_uid"])
            # OHIF may load the report after it has drawn; then it draws the lines at the next opening.
            for _ in range(3):
                tab.series(Kind.SR.form.series_number)
                tab.page.wait_for_timeout(5000)
            Image.open(BytesIO(tab.page.screenshot())).convert("RGB").save(PICTURE, optimize=True)
            tab.close()


if __name__ == "__main__":
    main()
