"""The DICOM JSON model, compared with examples of the standard and read by pydicom."""

from pydicom import Dataset

from service.dicom_web.dicom_json import item

ATTRIBUTES = [
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


def test_each_value_has_the_json_form_of_its_vr() -> None:
    dataset = item(ATTRIBUTES)

    names = {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}  # PS3.18 F.3.1
    assert dataset["00100010"] == {"vr": "PN", "Value": [names]}
    assert dataset["00080061"] == {"vr": "CS", "Value": ["CR", "SR"]}
    assert dataset["00200011"] == {"vr": "IS", "Value": [9901]}
    assert dataset["00280010"] == {"vr": "US", "Value": [2048]}
    assert dataset["00081190"] == {"vr": "UR", "Value": ["http://localhost/a\\b"]}
    assert dataset["00200010"] == {"vr": "SH"}
    assert dataset["00200013"] == {"vr": "IS"}  # not a number, so it is left out
    assert list(dataset) == sorted(dataset)


def test_pydicom_reads_it() -> None:
    dataset = Dataset.from_json(dict(item(ATTRIBUTES)))

    assert dataset.PatientName == ATTRIBUTES[0][1]
    assert list(dataset.PatientID) == ["A", "B"]
    assert dataset.NumberOfStudyRelatedSeries == 5
