import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset

from service.dicom.radiograph import radiograph
from tests.service.objects.rendered import BOX, FAULTY, HEIGHT, WIDTH, errors, parsed, record, rendered, source


def state(fault: str = "sound") -> Dataset:
    return parsed(rendered("presentation_state", FAULTY[fault]))


def test_it_is_a_grayscale_state_over_the_radiograph() -> None:
    dataset = state()

    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.11.1"
    (series,) = dataset.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == "2.25.1002"
    assert [one.ReferencedSOPInstanceUID for one in series.ReferencedImageSequence] == ["2.25.1003"]


def test_the_box_is_drawn_along_the_edges_of_its_pixels() -> None:
    """PS3.3 C.10.5.1: 0\\0 is the outer corner of the first pixel, Columns\\Rows that of the last."""
    (annotation,) = state().GraphicAnnotationSequence
    (box,) = annotation.GraphicObjectSequence
    x0, y0, x1, y1 = BOX

    assert (box.GraphicType, box.GraphicAnnotationUnits, box.GraphicFilled) == ("POLYLINE", "PIXEL", "N")
    assert list(box.GraphicData) == [x0, y0, x1, y0, x1, y1, x0, y1, x0, y0]


def test_a_box_may_be_the_whole_radiograph() -> None:
    dataset = parsed(rendered("presentation_state", made_from=record(box=(0, 0, WIDTH, HEIGHT))))

    data = dataset.GraphicAnnotationSequence[0].GraphicObjectSequence[0].GraphicData
    assert (min(data), max(data[::2]), max(data[1::2])) == (0, WIDTH, HEIGHT)


@pytest.mark.parametrize("change", [{"positive": None}, {"local": None}], ids=["nothing is positive", "one look"])
def test_a_box_that_nobody_should_rely_on_is_left_out(change: dict[str, None], tmp_path: Path) -> None:
    findings = tuple(replace(finding, **change) for finding in record().prediction.findings)

    data = rendered("presentation_state", made_from=record(findings=findings))

    (annotation,) = parsed(data).GraphicAnnotationSequence
    assert "GraphicObjectSequence" not in annotation
    assert len(annotation.TextObjectSequence) == 1
    if shutil.which("dciodvfy"):
        assert errors(data, tmp_path) == set()


def test_the_text_states_priority_findings_notice_and_flags() -> None:
    (text,) = state().GraphicAnnotationSequence[0].TextObjectSequence

    assert text.UnformattedTextValue.split("\r\n") == [
        "AI priority STAT",
        "Effusion 77%",
        "Pneumothorax 82%",
        "Research use only. Not a medical device.",
        "Flag: window_missing",
        "Flag: view_position_missing",
    ]
    assert text.BoundingBoxAnnotationUnits == "DISPLAY"


def test_without_a_positive_finding_the_text_states_that() -> None:
    dataset = parsed(
        rendered("presentation_state", made_from=record(findings=record().prediction.findings[:1], priority="ROUTINE"))
    )

    (text,) = dataset.GraphicAnnotationSequence[0].TextObjectSequence
    assert text.UnformattedTextValue.split("\r\n")[:2] == ["AI priority ROUTINE", "Nothing at or over its threshold"]


def test_a_long_text_is_cut_to_what_the_attribute_holds() -> None:
    dataset = parsed(
        rendered("presentation_state", made_from=record(flags=tuple(f"flag_number_{n}" for n in range(90))))
    )

    (text,) = dataset.GraphicAnnotationSequence[0].TextObjectSequence
    assert len(text.UnformattedTextValue) == 1024  # ST
    assert max(text.BoundingBoxBottomRightHandCorner) <= 1


def test_the_whole_radiograph_is_displayed() -> None:
    (area,) = state().DisplayedAreaSelectionSequence

    assert list(area.DisplayedAreaTopLeftHandCorner) == [1, 1]  # PS3.3 C.10.4: pixels are counted from one
    assert list(area.DisplayedAreaBottomRightHandCorner) == [WIDTH, HEIGHT]


@pytest.mark.parametrize(
    ("fault", "expected"), [("sound", [1, 1]), ("oblong pixels", [2, 1]), ("zero spacing", [1, 1])]
)
def test_pixels_keep_their_shape(fault: str, expected: list[int]) -> None:
    assert list(state(fault).DisplayedAreaSelectionSequence[0].PresentationPixelAspectRatio) == expected


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("sound", (2048, 4096, "LINEAR")),
        ("two windows", (2000, 3000, "SIGMOID")),
        ("no window", None),
        ("window of nothing", (2048, 4096, "LINEAR")),  # all values, 0 to 4095
        ("window too narrow", (2048, 4096, "LINEAR")),
    ],
)
def test_the_window_is_the_one_that_display_uses(fault: str, expected: tuple[float, float, str] | None) -> None:
    dataset = state(fault)

    if expected is None:
        assert "SoftcopyVOILUTSequence" not in dataset
        return
    (item,) = dataset.SoftcopyVOILUTSequence
    assert (item.WindowCenter, item.WindowWidth, item.VOILUTFunction) == expected


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"PhotometricInterpretation": "MONOCHROME2", "PresentationLUTShape": "IDENTITY"}, "IDENTITY"),
        ({"PhotometricInterpretation": "MONOCHROME2", "PresentationLUTShape": None}, "IDENTITY"),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}, "INVERSE"),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": None}, "INVERSE"),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "IDENTITY"}, "IDENTITY"),
    ],
)
def test_it_inverts_exactly_where_display_does(elements: dict[str, str | None], expected: str) -> None:
    assert parsed(rendered("presentation_state", source(**elements))).PresentationLUTShape == expected


def test_the_rescale_is_that_of_the_radiograph() -> None:
    dataset = state("rescaled")

    assert (dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType) == (-2, 1000.5, "US")


def test_a_voi_lut_is_scaled_to_sixteen_bits() -> None:
    (item,) = state("tables").SoftcopyVOILUTSequence[0].VOILUTSequence

    entries = np.frombuffer(item.LUTData, "<u2")
    assert list(item.LUTDescriptor) == [4096, 0, 16]
    # the tenth entry of 4096 from 0 to 1023 is 1023 * 9 / 4095 = 2.2, written as 2; 2 / 1023 of 65535 is 128
    assert (entries[0], entries[9], entries[-1]) == (0, 128, 65535)


def test_a_modality_lut_keeps_its_values() -> None:
    (item,) = state("tables").ModalityLUTSequence

    entries = np.frombuffer(item.LUTData, "<u2")
    assert (list(item.LUTDescriptor), item.ModalityLUTType) == ([4096, 0, 16], "US")
    assert (entries[1], entries[-1]) == (16, 65535)  # 65535 / 4095 = 16.004


def test_a_big_endian_table_is_written_in_little_endian() -> None:
    (item,) = state("big endian").SoftcopyVOILUTSequence[0].VOILUTSequence

    assert np.frombuffer(item.LUTData, "<u2")[-1] == 65535


def test_a_validator_finds_nothing_on_a_shutter(tmp_path: Path) -> None:
    data = source(ShutterShape="CIRCULAR", CenterOfCircularShutter=[128, 100], RadiusOfCircularShutter=90)
    made = rendered("presentation_state", data)

    assert parsed(made).ShutterShape == "CIRCULAR"
    assert errors(made, tmp_path) - errors(data, tmp_path) == set()


def test_an_intercept_without_a_slope_is_kept() -> None:
    dataset = state("intercept alone")

    assert (dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType) == (1, 100, "US")


@pytest.mark.parametrize(
    "fault",
    [
        *("sound", "white is low", "white is low, unsaid", "rescaled", "tables", "no window", "CR", "oblong pixels"),
        *("implicit", "deflated", "window of nothing", "window too narrow", "intercept alone", "table from below zero"),
    ],
)
def test_dcmtk_shows_the_radiograph_with_it_as_the_service_does(tmp_path: Path, fault: str) -> None:
    """SIGMOID is left out: DCMTK ignores it in presentation states. DCMTK cuts grey levels off, the service rounds."""
    tool = shutil.which("dcmp2pgm")
    if tool is None:
        pytest.skip("no dcmp2pgm (Debian: dcmtk)")
    source, state, picture = (tmp_path / name for name in ("source.dcm", "state.dcm", "picture.pgm"))
    source.write_bytes(FAULTY[fault])
    state.write_bytes(rendered("presentation_state", FAULTY[fault]))

    subprocess.run([tool, "-p", state, source, picture], check=True, capture_output=True)

    shown = np.asarray(Image.open(picture), np.float64)
    assert np.abs(shown - 255 * radiograph(FAULTY[fault]).values).max() < 1.1
