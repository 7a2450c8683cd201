import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from highdicom.sr import srread
from pydicom import Dataset
from pydicom.sr.codedict import codes

from model.labels import LABELS
from service.objects.codes import row
from tests.service.objects.rendered import BOX, FAULTY, HEIGHT, WIDTH, parsed, record, rendered


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sr") / "sr.dcm"
    path.write_bytes(rendered("sr"))
    return path


@pytest.fixture(scope="module")
def document(path: Path) -> Dataset:
    return srread(path)


def test_it_states_that_nobody_has_verified_it(document: Dataset) -> None:
    assert document.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"  # Comprehensive 3D SR
    assert (document.CompletionFlag, document.VerificationFlag) == ("PARTIAL", "UNVERIFIED")
    assert document.PreliminaryFlag == "PRELIMINARY"
    assert document.ContentTemplateSequence[0].TemplateIdentifier == "1500"


def test_the_radiograph_is_its_evidence(document: Dataset) -> None:
    (study,) = document.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    (image,) = series.ReferencedSOPSequence

    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == ("2.25.1001", "2.25.1002")
    assert image.ReferencedSOPInstanceUID == "2.25.1003"
    assert image.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.1.1"


def evaluations(document: Dataset) -> Dataset:
    """The container Qualitative Evaluations, TID 1500."""
    last = document.content[0].ContentSequence[-1]
    assert last.name.meaning == "Qualitative Evaluations"
    return last


@pytest.mark.parametrize("label", LABELS)
def test_each_finding_is_an_evaluation_with_the_numbers_of_the_prediction(document: Dataset, label: str) -> None:
    finding = next(one for one in record().prediction.findings if one.label == label)
    coded = row(label)
    (item,) = [
        item
        for item in evaluations(document).ContentSequence
        if (item.name.value, item.name.scheme_designator) == coded.finding[:2]
    ]
    parts = item.ContentSequence

    assert (
        item.value.meaning
        == {True: "Present", False: "Absent", None: "Undecided, no operating point"}[finding.positive]
    )
    assert [part.value for part in parts if part.name == codes.DCM.TrackingIdentifier] == [label]
    assert [part.value.value for part in parts if part.name == codes.SCT.FindingSite] == [coded.site.value]
    values = {part.name.meaning: part.value for part in parts if part.ValueType == "NUM"}
    expected = {
        "Probability": finding.probability,
        "Threshold Value": finding.threshold,
        "Case Sensitivity": finding.sensitivity,
        "Case Specificity": finding.specificity,
    }
    assert values == {
        name: pytest.approx(100 * value, abs=1e-4) for name, value in expected.items() if value is not None
    }
    assert {part.unit for part in parts if part.ValueType == "NUM"} == {codes.UCUM.Percent}


def test_the_box_is_the_only_measurement_group_so_that_viewers_load_the_document(document: Dataset) -> None:
    (container,) = [one for one in document.content[0].ContentSequence if one.name == codes.DCM.ImagingMeasurements]

    assert len(container.ContentSequence) == 1
    assert document.content.get_image_measurement_groups() == []


def test_both_containers_name_the_algorithm_its_version_and_the_artefacts_digest(document: Dataset) -> None:
    (group,) = document.content.get_planar_roi_measurement_groups()
    for container in (group[0], evaluations(document)):
        texts = {item.name.value: item.value for item in container.ContentSequence if item.ValueType == "TEXT"}
        assert (texts["111001"], texts["111003"]) == ("agcnn-densenet121", "2.1")  # TID 4019
        assert texts["111002"] == f"SHA-256: {'9f' * 32}"


def test_the_box_is_one_region_with_its_edges_on_those_of_pixels(document: Dataset) -> None:
    (group,) = document.content.get_planar_roi_measurement_groups()
    x0, y0, x1, y1 = BOX

    assert group.finding_type.value == "ATTENTION"
    assert group.roi.GraphicType == "POLYLINE"
    np.testing.assert_array_equal(group.roi.value, [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)])
    assert group.roi.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "2.25.1003"


def test_a_measurement_and_no_site_says_what_the_box_is(document: Dataset) -> None:
    (group,) = document.content.get_planar_roi_measurement_groups()
    (share,) = group.get_measurements()
    x0, y0, x1, y1 = BOX

    assert share.name.meaning == "Attention, share of the image"
    assert share.value == pytest.approx(100 * (x1 - x0) * (y1 - y0) / (WIDTH * HEIGHT), abs=1e-4)
    assert group.finding_sites == []


def test_a_box_may_be_the_whole_radiograph() -> None:
    whole = (0, 0, 260, 300)

    data = parsed(rendered("sr", made_from=record(box=whole)))

    (corners,) = [list(one.GraphicData) for one in _tree(data) if "GraphicData" in one]
    assert corners == [0, 0, 260, 0, 260, 300, 0, 300, 0, 0]  # PS3.3 C.18.6.1.2: to Columns\Rows


def test_priority_notice_and_flags_concern_the_whole_radiograph(document: Dataset) -> None:
    values = {item.name.meaning: [] for item in evaluations(document).ContentSequence}
    for item in evaluations(document).ContentSequence:
        values[item.name.meaning].append(item.value if item.ValueType == "TEXT" else item.value.value)

    assert values["Priority in the worklist"] == ["STAT"]
    assert values["Comment"] == [
        "Research use only. Not a medical device.",
        "Flag: window_missing",
        "Flag: view_position_missing",
    ]


def test_each_finding_has_its_own_uid(document: Dataset) -> None:
    uids = [one.UID for one in _tree(document) if one.get("ConceptNameCodeSequence") and "UID" in one]

    assert len(set(uids)) == len(uids) == 16  # the device, the region and fourteen findings


@pytest.mark.parametrize("fault", ["sound", "nobody", "Japanese", "class unsaid", "secondary capture"])
def test_dcmtk_reads_it(fault: str, tmp_path: Path) -> None:
    tool = shutil.which("dsrdump")
    if tool is None:
        pytest.skip("no dsrdump (Debian: dcmtk)")
    (tmp_path / "sr.dcm").write_bytes(rendered("sr", FAULTY[fault]))

    result = subprocess.run([tool, tmp_path / "sr.dcm"], capture_output=True, timeout=60, check=False)

    text = result.stdout.decode("utf-8", "replace")
    assert (result.returncode, re.findall(rb"^[EF]: .*", result.stderr, re.M)) == (0, [])
    assert text.startswith("Comprehensive 3D SR Document")
    assert len(re.findall(r'NUM:.*"Probability"', text)) == 14
    assert len(re.findall(r'NUM:.*"Threshold Value"', text)) == 13
    assert len(re.findall(r'NUM:.*"Case Sensitivity"', text)) == 13
    assert text.count('"Present"') == 2
    assert text.count('"Absent"') == 11


def _tree(dataset: Dataset) -> list[Dataset]:
    inner = [item for element in dataset if element.VR == "SQ" for item in element.value]
    return [dataset, *(one for item in inner for one in _tree(item))]
