import hashlib
import threading
from pathlib import Path

import pytest

from service.http import admission
from service.http.app import create_app
from service.inference.session import Session
from tests.artefacts import tiny_artefact, tiny_card, tiny_typicality
from tests.service.serving import client_of, settings_for
from tests.training.report import documents
from training.report.model_card import model_card


def test_the_card_is_that_of_the_artefact_with_digest_and_provider(
    artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove, proof = Session.prove, threading.Event()

    def wait(session: Session, max_batch: int) -> None:
        assert proof.wait(60)
        prove(session, max_batch)

    monkeypatch.setattr(Session, "prove", wait)
    monkeypatch.setattr(admission, "START_SECONDS", 0.0)
    with client_of(create_app(settings_for(artefact, tmp_path))) as client:
        early = client.get("/v1/model").json()
        proof.set()
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


def test_the_model_card_is_part_of_the_card(tmp_path: Path) -> None:
    document = model_card(documents.document(), documents.metrics_document())
    artefact = tiny_artefact(tmp_path, model_card=document)
    with client_of(create_app(settings_for(artefact, tmp_path))) as client:
        assert client.get("/v1/model").json()["model_card"] == document


def test_typicality_is_served_without_its_vectors_if_the_artefact_has_it(artefact: Path, tmp_path: Path) -> None:
    statistics = tiny_card(artefact)["statistics"]
    assert "typicality" not in statistics
    with client_of(create_app(settings_for(artefact, tmp_path / "without"))) as client:
        assert "typicality" not in client.get("/v1/model").json()["statistics"]

    typicality = tiny_typicality(2.5)
    with_typicality = tiny_artefact(tmp_path, statistics=statistics | {"typicality": typicality})
    with client_of(create_app(settings_for(with_typicality, tmp_path / "with"))) as client:
        served = client.get("/v1/model").json()["statistics"]["typicality"]
    assert served == {name: value for name, value in typicality.items() if name not in {"mean", "factor"}}
