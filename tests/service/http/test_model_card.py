import hashlib
from pathlib import Path

from service.http.app import create_app
from tests.artefacts import tiny_artefact, tiny_card, tiny_typicality
from tests.service.serving import client_of, settings_for
from tests.training.report import documents
from training.report.model_card import model_card


def test_the_card_is_the_artefacts_with_digest_and_provider(artefact: Path, tmp_path: Path) -> None:
    with client_of(create_app(settings_for(artefact, tmp_path))) as client:
        early = client.get("/v1/model").json()
        client.wait_until_ready()
        card = client.get("/v1/model").json()

    expected = tiny_card(artefact)
    assert early == card | {"provider": None}
    assert card["provider"] == "cpu"
    assert card["sha256"] == hashlib.sha256(artefact.read_bytes()).hexdigest()
    for entry in ("schema", "notice", "labels", "operating_points", "preprocessing", "network", "metrics"):
        assert card[entry] == expected[entry]
    assert "golden" not in card
    assert "model_card" not in card


def test_the_model_card_is_served_with_it(tmp_path: Path) -> None:
    given = model_card(documents.document(), documents.metrics_document())
    artefact = tiny_artefact(tmp_path, model_card=given)
    with client_of(create_app(settings_for(artefact, tmp_path))) as client:
        assert client.get("/v1/model").json()["model_card"] == given


def test_it_says_whether_what_is_typical_is_known(artefact: Path, tmp_path: Path) -> None:
    statistics = tiny_card(artefact)["statistics"]
    assert "typicality" not in statistics
    with client_of(create_app(settings_for(artefact, tmp_path / "without"))) as client:
        assert "typicality" not in client.get("/v1/model").json()["statistics"]

    given = tiny_typicality(2.5)
    knowing = tiny_artefact(tmp_path, statistics=statistics | {"typicality": given})
    with client_of(create_app(settings_for(knowing, tmp_path / "with"))) as client:
        served = client.get("/v1/model").json()["statistics"]["typicality"]
    assert served == {name: value for name, value in given.items() if name not in {"mean", "factor"}}
