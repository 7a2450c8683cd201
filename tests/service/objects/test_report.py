from service.objects.report import report_of
from tests.service.records import PREDICTION, record


def test_a_report_has_everything_of_the_record() -> None:
    stored = record()

    report = report_of(stored)

    assert (report.id, report.created) == (stored.id, stored.created)
    assert (report.priority, report.reason, report.flags) == (PREDICTION.priority, PREDICTION.reason, PREDICTION.flags)
    assert (report.box, report.content) == (PREDICTION.box, PREDICTION.content)
    assert (report.findings, report.network) == (PREDICTION.findings, PREDICTION.network)
    assert report.heat_map is stored.heat_map
    assert report.class_maps is stored.class_maps
