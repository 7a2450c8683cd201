"""The profile `viewer`: OHIF and DICOMweb on one origin, behind a password."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.docker.deployment import Deployment, wait_for

pytestmark = pytest.mark.docker

LOGIN = ("reader", "a password")


@pytest.fixture(scope="module")
def viewer(deploy: Callable[..., Deployment], secrets: Path, root: Path) -> str:
    if not (root / "build" / "ohif" / "made").exists():
        pytest.skip("OHIF is not there; run make ohif")
    deployment = deploy("viewer", "viewer")
    deployment.up("service")
    key = deployment.inside("service", "triage", "keys", "add", "viewer", "--scope", "read")
    hashed = ["openssl", "passwd", "-apr1", LOGIN[1]]
    password = subprocess.run(hashed, check=True, capture_output=True, text=True).stdout
    for name, content in {"viewer_key": f'set $key "{key}";\n', "viewer_users": f"{LOGIN[0]}:{password}"}.items():
        (secrets / name).write_text(content)
        (secrets / name).chmod(0o444)
    deployment.up()
    url = f"http://127.0.0.1:{deployment.ports['VIEWER']}"
    wait_for(f"{url}/", auth=LOGIN)
    return url


def test_ohif_and_its_configuration_are_served(viewer: str, root: Path) -> None:
    with httpx.Client(base_url=viewer, auth=LOGIN, timeout=60) as client:
        assert "OHIF Viewer" in client.get("/viewer?StudyInstanceUIDs=1.2").text
        assert client.get("/app-config.js").text == (root / "docker" / "ohif.js").read_text()


def test_dicomweb_is_for_reading_and_needs_the_password(viewer: str) -> None:
    with httpx.Client(base_url=f"{viewer}/dicom-web", timeout=60) as client:
        assert client.get("/studies").status_code == 401
        assert client.get("/studies", auth=LOGIN).status_code == 204
        assert client.post("/studies", auth=LOGIN).status_code == 403
