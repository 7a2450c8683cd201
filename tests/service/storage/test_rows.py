import json
from dataclasses import replace

from service.artefact.card import LabelCodes
from service.storage.rows import from_json, to_json
from service.triage.finding import Finding
from service.triage.prediction import Prediction
from tests.service.records import PREDICTION

# The column `body` as revision 8441aa0 wrote it.
BODY = {
    "reason": ["Mass"],
    "findings": [
        {
            **{"label": "Mass", "probability": 0.7, "threshold": 0.5, "positive": True},
            **{"sensitivity": 0.4, "specificity": 0.95, "global": 0.6, "local": 0.8},
        }
    ],
    "box": [1, 2, 30, 40],
    "content": [0.1, 0.0, 0.9, 1.0],
    "flags": ["window_missing"],
    "model": {"name": "agcnn", "version": "1", "sha256": "9f" * 32},
    "timings_ms": {"read": 1.0, "decode": 2.0, "prepare": 3.0, "queue": 4.0, "infer": 5.0, "store": 6.0},
}


def read(body: object, priority: str = "HIGH", margin: float | None = 0.8) -> Prediction:
    return from_json({"priority": priority, "margin": margin, "body": body})  # type: ignore[arg-type]


def test_a_prediction_survives_json() -> None:
    body = json.loads(json.dumps(to_json(PREDICTION), allow_nan=False))
    assert read(body, PREDICTION.priority, PREDICTION.margin) == PREDICTION


def test_untrained_labels_stated_codes_and_references_survive_json() -> None:
    stated = {
        "finding": {"value": "1", "scheme": "99S", "meaning": "m"},
        "site": {"value": "2", "scheme": "SCT", "meaning": "s"},
    }
    one, other = (
        Finding("Mass", 0.5, 0.5, None, None, None, None, None, LabelCodes.model_validate(stated), -1.25),
        Finding("Hernia", *[None] * 7),  # type: ignore[arg-type]
    )
    body = json.loads(json.dumps(to_json(replace(PREDICTION, findings=(one, other))), allow_nan=False))
    assert body["findings"][0]["codes"] == stated
    assert "codes" not in body["findings"][1]
    assert not any("map_reference" in finding for finding in body["findings"])
    assert read(body).findings == (one, other)
    assert not read(body).second_look
    assert read(body).evaluated == (one,)


def test_every_member_of_the_body_has_its_field() -> None:
    prediction = read(BODY)

    assert (prediction.priority, prediction.margin) == ("HIGH", 0.8)
    assert (prediction.reason, prediction.flags) == (("Mass",), ("window_missing",))
    assert (prediction.box, prediction.content) == ((1, 2, 30, 40), (0.1, 0.0, 0.9, 1.0))
    assert vars(prediction.network) == BODY["model"]
    assert vars(prediction.timings_ms) == BODY["timings_ms"]
    (finding,) = prediction.findings
    assert (finding.label, finding.probability, finding.global_, finding.local) == ("Mass", 0.7, 0.6, 0.8)
    assert (finding.threshold, finding.positive) == (0.5, True)
    assert (finding.sensitivity, finding.specificity) == (0.4, 0.95)


def test_the_body_is_written_as_before() -> None:
    assert to_json(read(BODY)) == BODY


def test_a_body_without_content_covers_the_whole_canvas() -> None:
    older = {name: value for name, value in BODY.items() if name != "content"}
    assert read(older).content == (0.0, 0.0, 1.0, 1.0)
