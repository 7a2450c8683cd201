"""The row of a file."""

import os

import pytest

from service.artefact.card import NOTICE
from service.backfill.outcome import Outcome
from service.backfill.table import Table
from service.errors import InferenceFailed, MalformedDicom, Overloaded, Reason, UnsuitableImage
from service.telemetry import hash_uid
from tests.service.records import record

LABELS = ("Pneumothorax", "Mass", "Hernia")
TABLE = Table(LABELS, "a" * 64)
KEY = bytes(range(32))


def test_the_row_of_a_prediction_has_its_uids_and_findings() -> None:
    saved = record()
    row = TABLE.arrow([TABLE.row(Outcome("2024/a.dcm", saved))]).to_pylist()[0]

    assert row["file"] == "2024/a.dcm"
    assert row["study_instance_uid"] == saved.study_instance_uid
    assert row["sop_instance_uid"] == saved.sop_instance_uid
    assert (row["status"], row["code"], row["detail"]) == (200, [], None)
    assert (row["priority"], row["reason"], row["box"]) == ("STAT", ["Pneumothorax"], [0, 1, 2, 3])
    assert [row[label] for label in LABELS] == [finding.probability for finding in saved.prediction.findings]
    assert row["artefact_sha256"] == "a" * 64


def test_the_row_of_a_refusal_has_every_code() -> None:
    error = UnsuitableImage((Reason("modality_unsuitable", "CT"), Reason("view_unsuitable", "LL")))
    error.sop_instance_uid = "2.25.7"
    row = TABLE.arrow([TABLE.row(Outcome("b", error=error))]).to_pylist()[0]

    assert (row["file"], row["sop_instance_uid"], row["status"]) == ("b", "2.25.7", 422)
    assert row["code"] == ["modality_unsuitable", "view_unsuitable"]
    assert row["priority"] is row["box"] is row["Mass"] is None


def test_names_are_hashed_with_the_key_of_the_log() -> None:
    saved = record()
    row = Table(LABELS, "a" * 64, KEY).row(Outcome("Tweety^Canary/a.dcm", saved))

    assert row["file"] == hash_uid("Tweety^Canary/a.dcm", KEY)
    assert row["sop_instance_uid"] == hash_uid(saved.sop_instance_uid, KEY)
    assert "Tweety" not in str(row)
    assert saved.sop_instance_uid not in str(row)


def test_a_name_that_is_not_utf8_is_escaped() -> None:
    name = os.fsdecode(b"r\xf6ntgen.dcm")
    row = TABLE.arrow([TABLE.row(Outcome(name, record()))]).to_pylist()[0]
    assert row["file"] == "r\\xf6ntgen.dcm"
    assert len(Table(LABELS, "a" * 64, KEY).name(name)) == 16


def test_the_box_is_left_out_where_places_are_not_shown() -> None:
    assert Table(LABELS, "a" * 64, has_places=False).row(Outcome("a", record()))["box"] is None


def test_the_schema_says_what_holds_of_all_rows() -> None:
    metadata = Table(LABELS, "a" * 64, KEY, source="/archive", settings='{"gate":{}}').schema.metadata
    assert metadata == {
        b"notice": NOTICE.encode(),
        b"artefact_sha256": b"a" * 64,
        b"names": b"hashed, key " + hash_uid("key", KEY).encode(),
        b"delivered": b"nothing",
        b"source": hash_uid("/archive", KEY).encode(),
        b"settings": b'{"gate":{}}',
    }


@pytest.mark.parametrize(
    ("error", "is_final", "stops"),
    [
        (MalformedDicom("no"), True, False),
        (RuntimeError(), False, False),
        (InferenceFailed("no"), False, False),
        (Overloaded("no", "decoder_unavailable"), False, False),
        (Overloaded("no", "source_unavailable"), False, True),
    ],
)
def test_an_error_that_is_not_the_files_own_is_no_outcome(error: Exception, is_final: bool, stops: bool) -> None:
    outcome = Outcome("a", error=error)
    assert (outcome.is_final, outcome.stops is not None) == (is_final, stops)
