import threading
from pathlib import Path

import pytest

from service.errors import ArtefactError
from service.http.app import create_app
from service.inference.session import Session
from tests.service.serving import client_of, settings_for


def test_the_service_is_ready_after_the_self_test_and_alive_before(
    artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove, proof = Session.prove, threading.Event()

    def wait(session: Session, max_batch: int) -> None:
        assert proof.wait(60)
        prove(session, max_batch)

    monkeypatch.setattr(Session, "prove", wait)
    with client_of(create_app(settings_for(artefact, tmp_path))) as client:
        alive, ready, posted = client.get("/livez"), client.get("/readyz"), client.post(b"x")
        proof.set()
        client.wait_until_ready()

        assert alive.json() == {"status": "alive"}
        for refused in (ready, posted):
            assert (refused.status_code, refused.json()["code"]) == (503, "not_ready")
            assert "golden self-test" in refused.json()["detail"]
            assert int(refused.headers["retry-after"]) > 0
        assert client.get("/readyz").json() == {"status": "ready"}


def test_a_failed_self_test_stays_the_reason(artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_session: Session, _max_batch: int) -> None:
        raise ArtefactError("fusion is off by 0.5")

    monkeypatch.setattr(Session, "prove", fail)
    with client_of(create_app(settings_for(artefact, tmp_path))) as client:
        while "off by 0.5" not in (refused := client.get("/readyz")).json()["detail"]:
            assert refused.status_code == 503

        assert client.get("/livez").status_code == 200
        assert client.post(b"x").json()["code"] == "not_ready"
