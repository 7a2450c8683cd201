"""The profile `pacs`: Orthanc sends the radiographs it receives and stores the results."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import httpx
import pydicom
import pytest
from PIL import Image

from tests.docker.deployment import Deployment, wait_for

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def orthanc(deploy: Callable[..., Deployment], secrets: Path) -> str:
    deployment = deploy("pacs", "orthanc")
    deployment.up("service")
    file = secrets / "pacs_key"
    file.write_text(deployment.inside("service", "triage", "keys", "add", "pacs"))
    file.chmod(0o444)
    deployment.up()
    url = f"http://127.0.0.1:{deployment.ports['PACS_HTTP']}"
    wait_for(f"{url}/system")
    return url


def test_orthanc_stores_the_priority_and_overlay_of_a_radiograph(orthanc: str, samples: dict[str, bytes]) -> None:
    sample = samples["pneumothorax"]
    stored = httpx.post(f"{orthanc}/instances", content=sample, timeout=60).json()
    instance = f"{orthanc}/instances/{stored['ID']}"

    priority = wait_for(f"{orthanc}/studies/{stored['ParentStudy']}/metadata/TriagePriority").text
    result = httpx.get(f"{instance}/metadata/TriageResult", timeout=60).json()
    overlay = httpx.get(f"{instance}/attachments/TriageOverlay/data", timeout=60).content

    dataset = pydicom.dcmread(BytesIO(sample), stop_before_pixels=True)
    assert priority == result["priority"]
    assert result["sop_instance_uid"] == dataset.SOPInstanceUID
    with Image.open(BytesIO(overlay)) as picture:
        assert picture.width == dataset.Columns
        assert picture.height > dataset.Rows  # the legend is below the radiograph


def test_a_refused_radiograph_has_the_priority_none(orthanc: str, samples: dict[str, bytes]) -> None:
    stored = httpx.post(f"{orthanc}/instances", content=samples["lateral"], timeout=60).json()

    assert wait_for(f"{orthanc}/instances/{stored['ID']}/metadata/TriagePriority").text == "none"
