import numpy as np

from service.objects.rendering import report
from service.storage.record import Record


def test_a_report_is_the_record_whole() -> None:
    finding = {
        **{"label": "Mass", "probability": 0.7, "threshold": 0.5, "positive": True},
        **{"sensitivity": 0.4, "specificity": 0.95, "global": 0.6, "local": 0.8},
    }
    record = Record(
        study_instance_uid="2.25.1",
        series_instance_uid="2.25.2",
        sop_instance_uid="2.25.3",
        accession_number="A1",
        attributes={},
        display_sha256="0" * 64,
        artefact_sha256="9f" * 32,
        instance_file="file",
        instance_bytes=1,
        priority="HIGH",
        margin=0.8,
        body={
            "reason": ["Mass"],
            "findings": [finding],
            "box": [1, 2, 30, 40],
            "content": [0.1, 0.0, 0.9, 1.0],
            "flags": ["window_missing"],
            "model": {"name": "agcnn", "version": "1", "sha256": "9f" * 32},
        },
        heat_map=np.full((7, 7), 0.25, np.float32),
        class_maps=np.full((1, 7, 7), -3, np.float32),
    )

    told = report(record)

    assert (told.id, told.created) == (record.id, record.created)
    assert (told.priority, told.reason, told.flags) == ("HIGH", ("Mass",), ("window_missing",))
    assert (told.box, told.content) == ((1, 2, 30, 40), (0.1, 0.0, 0.9, 1.0))
    assert (told.network.name, told.network.version, told.network.sha256) == ("agcnn", "1", "9f" * 32)
    (one,) = told.findings
    assert (one.label, one.probability, one.global_, one.local) == ("Mass", 0.7, 0.6, 0.8)
    assert (one.threshold, one.positive, one.sensitivity, one.specificity) == (0.5, True, 0.4, 0.95)
    assert told.heat_map is record.heat_map
    assert told.class_maps is record.class_maps
