import pytest

from service.errors import NotFound
from service.storage.priors import priors
from service.storage.records import Records
from service.storage.worklist import Worklist
from tests.service.storage.conftest import Make


def test_priors_are_in_earlier_studies_of_the_same_patient_the_latest_first(records: Records, make: Make) -> None:
    worklist, numbers = Worklist(records.database), iter(range(100))

    def study(number: int, when: str, **changes: str) -> str:
        date, _, time = when.partition(" ")
        patient = {"PatientID": "7", "IssuerOfPatientID": "A", "StudyDate": date, "StudyTime": time}
        values = {"study_instance_uid": f"1.{number}", "sop_instance_uid": f"1.2.{next(numbers)}"}
        return records.save(make(**values, attributes=patient | changes)).id

    current = study(1, "20260504 1200")
    same_study = study(1, "20260504 1100")
    same_day, last_year, day_before = study(2, "20260504 1130.5"), study(3, "20250504"), study(4, "20260503 2359")
    study(5, "20260504 1230"), study(6, "20260504"), study(7, "20270101"), study(8, ""), study(9, "2025.05.04")
    study(10, "20250101", IssuerOfPatientID="B"), study(11, "20250101", PatientID="8")
    nameless = study(12, "20260504 1200", PatientID="")
    study(13, "20250504", PatientID="")
    undated = study(14, "")

    def found(id: str) -> list[str]:
        return [entry.record.id for entry in priors(worklist, id)]

    assert found(current) == [same_day, day_before, last_year]
    assert found(same_study) == [day_before, last_year]
    assert found(nameless) == found(undated) == found(last_year) == []
    with pytest.raises(NotFound):
        priors(worklist, "0" * 32)
