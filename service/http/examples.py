"""Examples of answers and requests, for the OpenAPI document; no value of them is of a patient.

A test compares their members with the schemas.
"""

from typing import Any

from service.artefact.card import NOTICE
from service.errors import Reason, UnsuitableImage
from service.http.bodies import links, network_body
from service.http.problems import problem
from service.objects import notification
from service.objects.kinds import Kind
from service.triage.prediction import Network

ID = "9f5c20d0a1c84b6f8e0d6f2b7a3c5d11"
MEASUREMENT = "41c0f6d2b7e84a0c9d3f5a6b1e2c7d80"
STUDY, SERIES, INSTANCE = "2.25.1001", "2.25.1002", "2.25.1003"
SHA256 = "95e310d94ef95ac4b2922e556ea8cc7b0c759197ba9c9f6cb7804c72ec946a1b"
WHEN = "2026-11-28T09:30:00.000Z"

# Values of parameters in paths
PARAMETERS = {
    "id": ID,
    "study": STUDY,
    "series": SERIES,
    "instance": INSTANCE,
    "measurement": MEASUREMENT,
    "frames": "1",
    "bulk_data": "7FE00010",
}

_LINKS = links(ID).model_dump()
_MODEL = network_body(Network("agcnn-efficientnet_lite0", "0.2.0", SHA256)).model_dump()

_FINDING = {
    "label": "Pneumothorax",
    "probability": 0.4731,
    "threshold": 0.225,
    "positive": True,
    "sensitivity": 0.43,
    "specificity": 0.95,
    "global": 0.4731,
    "local": None,
}
_PREDICTION = {
    "schema": "agcnn-triage/prediction/1",
    "notice": NOTICE,
    "id": ID,
    "created": WHEN,
    "study_instance_uid": STUDY,
    "series_instance_uid": SERIES,
    "sop_instance_uid": INSTANCE,
    "accession_number": "A1",
    "priority": "STAT",
    "reason": ["Pneumothorax"],
    "findings": [_FINDING],
    "box": [262, 606, 744, 879],
    "second_look": False,
    "flags": ["view_position_missing"],
    "model": _MODEL,
    "links": _LINKS,
    "timings_ms": {"read": 3.1, "decode": 12.4, "prepare": 9.8, "queue": 0.4, "infer": 31.0, "store": 5.2},
}
_ACKNOWLEDGEMENT = {"requested": True, "at": WHEN, "by": "AB"}
_ENTRY = {
    "id": ID,
    "created": WHEN,
    "priority": "STAT",
    "reason": ["Pneumothorax"],
    "positive": ["Pneumothorax"],
    "margin": 1.13,
    "flags": [],
    "patient": {"name": "PHANTOM^ONE", "id": "P1", "sex": "F", "age": "054Y", "birth_date": ""},
    "accession_number": "A1",
    "study": {"instance_uid": STUDY, "date": "20261128", "time": "0925", "description": "Chest PA"},
    "series_description": "PA",
    "modality": "DX",
    "view_position": "PA",
    "other_studies": 1,
    "model": _MODEL,
    "opened": WHEN,
    "read": None,
    "acknowledgement": _ACKNOWLEDGEMENT | {"at": None, "by": ""},
    "links": _LINKS,
}
_MEASURED = {"kind": "length", "points": [[812.5, 640.0], [1012.5, 640.0]]}
_MEASUREMENT = _MEASURED | {
    "id": MEASUREMENT,
    "value": 28.0,
    "unit": "mm",
    "spacing_from": "ImagerPixelSpacing",
    "at": WHEN,
    "by": "AB",
}
_SEND = {
    "id": "5b1f0c7e",
    "destination": "archive",
    "object": str(Kind.SR),
    "state": "waiting",
    "attempts": 1,
    "due": WHEN,
    "error": "unreachable",
    "created": WHEN,
    "finished": None,
    "received": 0,
}

_OPINION = {"label": "Pneumothorax", "opinion": "agree", "by": "AB", "at": WHEN}
_WEEK = "2026-W48"

# Answers and requests, by the name of their schema
BY_SCHEMA: dict[str, Any] = {
    "Prediction": _PREDICTION,
    "Page": {"items": [_PREDICTION], "next": None},
    "Maps": {
        "content": [0.0, 0.0, 1.0, 1.0],
        "heat_map": [[0.0, 0.41], [0.12, 1.0]],
        "class_maps": {"Pneumothorax": [[-3.1, 0.2], [-1.4, 1.7]]},
        "references": {"Pneumothorax": 1.2},
    },
    "Entry": _ENTRY,
    "WorklistPage": {
        "items": [_ENTRY],
        "next": None,
        "total": 1,
        "counted_to": 10000,
        "unread": {"STAT": 1, "HIGH": 0, "ROUTINE": 0},
        "oldest_unread_stat": WHEN,
    },
    "Priors": {"items": [_ENTRY]},
    "Acknowledgement": _ACKNOWLEDGEMENT,
    "Measurement": _MEASUREMENT,
    "Measurements": {"items": [_MEASUREMENT]},
    "NewMeasurement": _MEASURED | {"by": "AB"},
    "Opened": {"at": WHEN},
    "Opinions": {"items": [_OPINION], "history": [_OPINION]},
    "Statistics": {
        "first": "2026-11-23",
        "last": "2026-11-28",
        "weeks": [{"week": _WEEK, "monday": "2026-11-23"}],
        "arrivals": [{"week": _WEEK, "priority": "STAT", "count": 3}],
        "alerts": [{"week": _WEEK, "finding": "Pneumothorax", "count": 3}],
        "waiting": [
            {
                "week": None,
                "priority": "STAT",
                "stage": "received_to_opened",
                "count": 3,
                "median_s": 95.2,
                "p95_s": 240.0,
            }
        ],
        "refusals": [{"week": _WEEK, "code": "body_part_unsuitable", "count": 1}],
        "opinions": [{"week": _WEEK, "finding": "Pneumothorax", "positive": True, "opinion": "agree", "count": 2}],
    },
    "Sends": {"items": [_SEND]},
    "Health": {"status": "ready"},
    "Mark": {"read": True, "by": "AB"},
    "By": {"by": "AB"},
    "Statement": {"label": "Pneumothorax", "opinion": "agree", "by": "AB"},
    "Order": {"destination": "archive", "objects": [str(Kind.SR)]},
    "Search": {"q": "PHANTOM", "priority": "STAT"},
    "SearchTable": {"q": "PHANTOM"},
}

# Answers without a schema of their own, by the last part of the path
BY_NAME: dict[str, Any] = {
    "worklist.csv": f"priority,reason,positive,margin,flags,created\r\nSTAT,Pneumothorax,Pneumothorax,1.13,,{WHEN}\r\n",
    "statistics.csv": f"week,measure,group,statistic,value\r\n{_WEEK},arrivals,STAT,count,3\r\n",
    "events": f': listening\n\nevent: changed\ndata: {{"id": "{ID}", "kind": "new", "priority": "STAT"}}\n\n',
    "model": {"name": "agcnn-efficientnet_lite0", "labels": ["Pneumothorax"], "sha256": SHA256, "provider": "cpu"},
    Kind.FHIR.file_name: {"resourceType": "Bundle", "type": "collection", "entry": []},
    Kind.HL7.file_name: "MSH|^~\\&|TRIAGE||||20261128093000||ORU^R01^ORU_R01|GEZDGNBVGY3TQOJQ|P|2.5.1\r",
    Kind.NOTIFICATION.file_name: {
        "type": notification.TYPE,
        "timestamp": WHEN,
        "schema": notification.SCHEMA,
        "notice": NOTICE,
        "text": f"STAT: Pneumothorax. {NOTICE}",
        "data": {"id": ID, "priority": "STAT", "reason": ["Pneumothorax"], "positive": ["Pneumothorax"]},
    },
}

# Answers of DICOMweb: data sets, and the outcome of a store transaction (PS3.18 10.5.3)
DATA_SETS: list[Any] = [
    {
        "00080018": {"vr": "UI", "Value": [INSTANCE]},
        "00080060": {"vr": "CS", "Value": ["DX"]},
        "0020000D": {"vr": "UI", "Value": [STUDY]},
        "0020000E": {"vr": "UI", "Value": [SERIES]},
    }
]
_REFERENCE = {
    "00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.1.1"]},
    "00081155": {"vr": "UI", "Value": [INSTANCE]},
}
STORED = {"00081199": {"vr": "SQ", "Value": [_REFERENCE]}}

_REASON = Reason("body_part_unsuitable", "(0018,0015) BodyPartExamined is HAND; a chest is expected")
PROBLEM = problem(UnsuitableImage((_REASON,))).model_dump(exclude_none=True)
