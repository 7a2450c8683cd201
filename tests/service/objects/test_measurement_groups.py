"""Measurements in the SR: groups with coordinates, who and when, and the earlier documents."""

import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.sr.codedict import codes

from service.dicom.grid import Grid
from service.dicom.reader import read
from service.objects.kinds import Kind, Presentation
from service.objects.product import uid
from service.objects.render import render
from service.storage.record import Record
from service.triage.measurement import Measurement
from tests.service.objects.rendered import FAULTY, errors, items, parsed, record, rendered

GRID = Grid(300, 260, 1.0, (0.14, 0.14), "ImagerPixelSpacing")
WHEN = datetime(2025, 3, 6, 8, 15, 30, 500_000, UTC)
POINTS = {
    "length": ((100.0, 50.0), (130.0, 90.0)),
    "angle": ((20.0, 10.0), (10.0, 10.0), (10.0, 30.0)),
    "cardiothoracic_ratio": ((90.0, 200.0), (190.0, 210.0), (30.0, 220.0), (230.0, 221.0)),
}
MEASUREMENTS = tuple(
    Measurement(f"{number:032x}", kind, points, GRID, WHEN, by)
    for number, ((kind, points), by) in enumerate(zip(POINTS.items(), ("AB", "Ueda^Ken=X", ""), strict=True))
)


def measured(**changes: object) -> Record:
    return record(**{"measurements": MEASUREMENTS, "revision": 5, "revised": WHEN} | changes)


@pytest.fixture(scope="module")
def document() -> Dataset:
    return parsed(rendered("sr", made_from=measured()))


def groups(document: Dataset) -> list[Dataset]:
    """The measurement groups after that of the box."""
    (container,) = [
        one
        for one in document.ContentSequence
        if one.ConceptNameCodeSequence[0].CodeValue == codes.DCM.ImagingMeasurements.value
    ]
    return list(container.ContentSequence[1:])


def numbers(group: Dataset) -> dict[str, tuple[float, str]]:
    return {
        one.ConceptNameCodeSequence[0].CodeMeaning: (
            float(one.MeasuredValueSequence[0].NumericValue),
            one.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue,
        )
        for one in group.ContentSequence
        if one.ValueType == "NUM"
    }


def comments(group: Dataset) -> list[str]:
    return [
        one.TextValue
        for one in group.ContentSequence
        if one.ConceptNameCodeSequence[0].CodeValue == codes.DCM.Comment.value
    ]


def test_each_is_a_group_with_its_value(document: Dataset) -> None:
    assert [numbers(group) for group in groups(document)] == [
        {"Length": (7.0, "mm")},  # 50 pixels of 0.14 mm
        {"Angle": (90.0, "deg")},
        {
            "Cardiothoracic ratio": (0.5, "{ratio}"),
            "Transverse diameter of the heart": (14.0, "mm"),
            "Inner transverse diameter of the thorax": (28.0, "mm"),
        },
    ]


def test_without_a_spacing_lengths_are_in_pixels() -> None:
    plain = Grid(300, 260, 1.0, None, None)
    line = Measurement("a" * 32, "length", POINTS["length"], plain, WHEN, "AB")

    (group,) = groups(parsed(rendered("sr", made_from=measured(measurements=(line,)))))

    assert numbers(group) == {"Length": (50.0, "{pixels}")}
    assert comments(group) == []


def test_each_number_has_one_set_of_coordinates_so_that_viewers_load_the_document(document: Dataset) -> None:
    for group, points in zip(groups(document), POINTS.values(), strict=True):
        all_numbers = [one for one in group.ContentSequence if one.ValueType == "NUM"]
        for number in all_numbers:
            (coordinates,) = number.ContentSequence
            assert coordinates.ValueType == "SCOORD"
            image = coordinates.ContentSequence[0].ReferencedSOPSequence[0]
            assert image.ReferencedSOPInstanceUID == "2.25.1003"
        np.testing.assert_array_equal(all_numbers[0].ContentSequence[0].GraphicData, np.ravel(points))


def test_each_names_its_reader_and_its_time_and_what_a_length_is(document: Dataset) -> None:
    people = [
        str(one.PersonName) for group in groups(document) for one in group.ContentSequence if one.ValueType == "PNAME"
    ]
    remarks = [remark for group in groups(document) for remark in comments(group)]

    assert people == ["AB", "Ueda Ken X", "Unknown"]
    assert {group.ObservationDateTime for group in groups(document)} == {"20250306081530.500000+0000"}
    assert remarks == 2 * ["Length at the detector, larger than in the patient"]  # not for the angle


def test_a_changed_document_is_another_instance_of_the_series_and_names_the_earlier_ones(document: Dataset) -> None:
    first = parsed(rendered("sr"))
    (study,) = document.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    earlier = [one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence]

    assert "PredecessorDocumentsSequence" not in first
    assert first.SOPInstanceUID == uid(record().id, "sr")  # as before there were measurements
    assert len({document.SOPInstanceUID, *earlier}) == 6
    assert earlier == [*(uid(record().id, f"sr-{number}") for number in (4, 3, 2, 1)), first.SOPInstanceUID]
    assert {one.ReferencedSOPClassUID for one in series.ReferencedSOPSequence} == {document.SOPClassUID}
    assert document.SeriesInstanceUID == series.SeriesInstanceUID == first.SeriesInstanceUID
    assert study.StudyInstanceUID == document.StudyInstanceUID
    assert (first.InstanceNumber, document.InstanceNumber) == (1, 6)
    assert (document.SeriesDate, document.SeriesTime) == (first.SeriesDate, first.SeriesTime)
    assert document.ContentDate > first.ContentDate


def test_when_all_are_deleted_the_document_has_no_group_and_names_the_earlier_ones() -> None:
    document = parsed(rendered("sr", made_from=measured(measurements=(), revision=2)))

    assert groups(document) == []
    assert len(document.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence) == 2


def test_where_only_the_triage_is_shown_measurements_stay_and_the_region_is_left_out() -> None:
    made = render(read(FAULTY["sound"]), np.zeros, Kind.SR, measured(), Presentation.TRIAGE_ONLY)
    meanings = [one.CodeMeaning for one in items(parsed(made)) if "CodeMeaning" in one]

    assert "Cardiothoracic ratio" in meanings
    assert "Region of attention of the network" not in meanings


def test_other_objects_do_not_change() -> None:
    for kind in (Kind.PRESENTATION_STATE, Kind.SEGMENTATION, Kind.FHIR, Kind.HL7):
        assert rendered(kind, made_from=measured()) == rendered(kind)


@pytest.mark.parametrize("fault", ["sound", "Japanese", "oblong pixels"])
def test_a_validator_finds_nothing(fault: str, tmp_path: Path) -> None:
    known = errors(FAULTY[fault], tmp_path)

    assert errors(rendered("sr", FAULTY[fault], measured()), tmp_path) - known == set()


def test_dcmtk_reads_it(tmp_path: Path) -> None:
    tool = shutil.which("dsrdump")
    if tool is None:
        pytest.skip("no dsrdump (Debian: dcmtk)")
    (tmp_path / "sr.dcm").write_bytes(rendered("sr", made_from=measured()))

    result = subprocess.run([tool, tmp_path / "sr.dcm"], capture_output=True, timeout=60, check=False)

    text = result.stdout.decode("utf-8", "replace")
    assert (result.returncode, re.findall(rb"^[EF]: .*", result.stderr, re.M)) == (0, [])
    assert text.count("SCOORD:") == 6  # the region, and one for each number
