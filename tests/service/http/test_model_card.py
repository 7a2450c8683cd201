import hashlib
from pathlib import Path

from service.http.app import create_app
from tests.artefacts import tiny_card
from tests.service.serving import client_of, settings_for


def test_the_card_is_the_artefacts_with_digest_and_provider(artefact: Path, tmp_path: Path) -> None:
    with client_of(create_app(settings_for(artefact, tmp_path))) as client:
        early = client.get("/v1/model").json()
        client.wait_until_ready()
        card = client.get("/v1/model").json()

    wanted = tiny_card(artefact)
    assert early == card | {"provider": None}
    assert card["provider"] == "cpu"
    assert card["sha256"] == hashlib.sha256(artefact.read_bytes()).hexdigest()
    for entry in ("schema", "notice", "labels", "operating_points", "preprocessing", "network", "metrics"):
        assert card[entry] == wanted[entry]
    assert "golden" not in card
