import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from service.dicom import elements
from service.errors import MalformedDicom


def raw(tag: int, vr: str, value: bytes) -> Dataset:
    return Dataset({Tag(tag): RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)})


def test_values_are_read_in_their_type():
    dataset = Dataset()
    dataset.Rows = 7
    dataset.Modality = " DX "
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.WindowCenter = ["1.5", "2"]
    dataset.ViewCodeSequence = [Dataset()]
    dataset.PixelData = b"12"
    assert elements.integer(dataset, "Rows") == 7
    assert elements.text(dataset, "Modality") == "DX"
    assert elements.text(dataset, "ImageType") == "ORIGINAL\\PRIMARY"
    assert elements.numbers(dataset, "WindowCenter") == (1.5, 2.0)
    assert len(elements.items(dataset, "ViewCodeSequence")) == 1
    assert elements.binary(dataset, "PixelData") == b"12"


def test_an_absent_value_is_empty():
    assert elements.text(Dataset(), "Modality") == ""
    assert elements.texts(Dataset(), "PatientOrientation") == ()
    assert elements.numbers(Dataset(), "WindowCenter") == ()
    assert elements.items(Dataset(), "ViewCodeSequence") == ()
    assert elements.binary(Dataset(), "PixelData") == b""
    assert elements.integer(Dataset(), "NumberOfFrames", 1) == 1


def test_a_missing_required_number_is_refused():
    with pytest.raises(MalformedDicom, match=r"^\(0028,0010\) Rows is required$") as refusal:
        elements.integer(Dataset(), "Rows")
    assert refusal.value.code == "element_missing"


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize(
    ("tag", "vr", "value", "read"),
    [
        (0x00280010, "US", b"\1\0\2\0", lambda dataset: elements.integer(dataset, "Rows")),
        (0x00280010, "US", b"\1\0\2", lambda dataset: elements.integer(dataset, "Rows")),
        (0x00280010, "SQ", b"\1\0\2", lambda dataset: elements.integer(dataset, "Rows")),
        (0x00281050, "DS", b"Canary", lambda dataset: elements.numbers(dataset, "WindowCenter")),
        (0x00281050, "DS", b"nan ", lambda dataset: elements.numbers(dataset, "WindowCenter")),
        (0x00281050, "DS", b"1e999 ", lambda dataset: elements.numbers(dataset, "WindowCenter")),
        (0x00280008, "IS", b"1.5 ", lambda dataset: elements.integer(dataset, "NumberOfFrames")),
        (0x00540220, "LO", b"Canary", lambda dataset: elements.items(dataset, "ViewCodeSequence")),
        (0x7FE00010, "LO", b"Canary", lambda dataset: elements.binary(dataset, "PixelData")),
    ],
)
def test_a_value_that_does_not_fit_is_named_and_not_shown(tag, vr, value, read):
    with pytest.raises(MalformedDicom, match=rf"^\({tag >> 16:04X},{tag & 0xFFFF:04X}\)") as refusal:
        read(raw(tag, vr, value))
    assert refusal.value.code == "value_invalid"
    assert "Canary" not in refusal.value.message
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


@pytest.mark.parametrize(
    ("tag", "vr", "value", "read"),
    [
        (0x00281050, "DS", b"1\\" * 2**16 + b"1 ", lambda dataset: elements.numbers(dataset, "WindowCenter")),
        (0x00280008, None, b"1\\" * 2**19, lambda dataset: elements.integer(dataset, "NumberOfFrames", 1)),
        (0x00280010, "US", b"\1\0" * 2**20, lambda dataset: elements.integer(dataset, "Rows")),
        (0x00180015, "CS", b"CHEST\\" * 2**16, lambda dataset: elements.text(dataset, "BodyPartExamined")),
    ],
)
def test_a_value_longer_than_any_table_is_refused_before_it_is_converted(monkeypatch, tag, vr, value, read):
    monkeypatch.setattr(elements, "_value", pytest.fail)
    with pytest.raises(MalformedDicom, match=r" must have at most 131072 bytes$") as refusal:
        read(raw(tag, vr, value))
    assert refusal.value.code == "value_invalid"


def test_a_uid_has_the_digits_of_ascii():
    assert elements.UID.fullmatch("1.20.300")
    assert not elements.UID.fullmatch("１.２")  # digits to Unicode, and to \\d
    assert not elements.UID.fullmatch("1.٢")
