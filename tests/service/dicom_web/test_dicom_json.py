"""Against pydicom's own reading of the model, and the standard's examples."""

from pydicom import Dataset

from service.dicom_web.dicom_json import item

TOLD = [
    ("PatientName", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    ("PatientID", "A\\B"),
    ("ModalitiesInStudy", ["CR", "SR"]),
    ("SeriesNumber", "9901"),
    ("InstanceNumber", "one"),
    ("Rows", "2048"),
    ("NumberOfStudyRelatedSeries", 5),
    ("RetrieveURL", "http://localhost/a\\b"),
    ("StudyID", ""),
]


def test_each_value_has_the_form_of_its_vr() -> None:
    told = item(TOLD)

    names = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}  # PS3.18 F.3.1
    assert told["00100010"] == {"vr": "PN", "Value": [names]}
    assert told["00080061"] == {"vr": "CS", "Value": ["CR", "SR"]}
    assert told["00200011"] == {"vr": "IS", "Value": [9901]}
    assert told["00280010"] == {"vr": "US", "Value": [2048]}
    assert told["00081190"] == {"vr": "UR", "Value": ["http://localhost/a\\b"]}
    assert told["00200010"] == {"vr": "SH"}
    assert told["00200013"] == {"vr": "IS"}  # no number: not made up, and not passed on
    assert list(told) == sorted(told)


def test_pydicom_reads_it() -> None:
    found = Dataset.from_json(dict(item(TOLD)))

    assert found.PatientName == TOLD[0][1]
    assert list(found.PatientID) == ["A", "B"]
    assert found.NumberOfStudyRelatedSeries == 5
