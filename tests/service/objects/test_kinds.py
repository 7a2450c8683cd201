"""What holds for every object, whatever the radiograph it is of."""

import time
from pathlib import Path

import pytest
from pydicom import Dataset

from service.objects.kinds import DICOM_KINDS, Kind
from service.storage.record import Record
from tests.conftest import ROOT
from tests.service.objects.rendered import FAULTY, errors, items, parsed, record, rendered, source

SAMPLES = [ROOT / "samples" / f"{name}.dcm" for name in ("pneumothorax", "nodule_monochrome1", "normal")]
REAL = (
    *("fuji_cr_chest_pa_mono1_10bit", "fuji_cr_chest_pa_mono1_10bit_noPart10header", "udacity_nih_test1"),
    *("philips_cr_chest_pa_mono1_15bit_RG1_JLSN", "siim_nih_cr_chest_pa_mono2_jpegbaseline"),
)
SMALL = {"box": (1, 2, 200, 201)}


def sound(kind: Kind) -> Dataset:
    return parsed(rendered(kind))


def beyond(data: bytes, folder: Path, made_from: Record) -> dict[Kind, set[str]]:
    """What a validator finds on each object, and not on the source."""
    known = errors(data, folder)
    return {kind: errors(rendered(kind, data, made_from), folder) - known for kind in DICOM_KINDS}


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("kind", Kind)
def test_a_uid_with_leading_zeros_is_referred_to_as_the_archive_has_it(kind: Kind) -> None:
    uids = {"StudyInstanceUID": "1.2.030.4", "SeriesInstanceUID": "1.2.030.4.05", "SOPInstanceUID": "1.2.030.4.06"}
    made = rendered(kind, source(**uids), record(**{"study_instance_uid": "1.2.030.4"}))

    if kind in DICOM_KINDS:
        assert parsed(made).StudyInstanceUID == "1.2.030.4"
        referred = {
            str(one.ReferencedSOPInstanceUID) for one in items(parsed(made)) if "ReferencedSOPInstanceUID" in one
        }
        assert "1.2.030.4.06" in referred
    assert (b"1.2.030.4" in made) == (kind is not Kind.NOTIFICATION)  # a notification holds no UID


NOTHING: dict[Kind, set[str]] = {kind: set() for kind in DICOM_KINDS}


@pytest.mark.parametrize("fault", FAULTY)
def test_a_validator_finds_nothing_beyond_what_it_finds_on_the_source(fault: str, tmp_path: Path) -> None:
    assert beyond(FAULTY[fault], tmp_path, record()) == NOTHING


@pytest.mark.parametrize("kind", DICOM_KINDS)
def test_a_validator_finds_nothing_on_an_object_of_a_sound_header(kind: Kind, tmp_path: Path) -> None:
    assert errors(rendered(kind), tmp_path) == set()


def test_the_validator_would_have_found_it(tmp_path: Path) -> None:
    broken = rendered("sr").replace(b"UNVERIFIED", b"unverified")

    assert any("VerificationFlag" in error for error in errors(broken, tmp_path))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_so_it_is_with_the_samples(path: Path, tmp_path: Path) -> None:
    assert beyond(path.read_bytes(), tmp_path, record(**SMALL)) == NOTHING


@pytest.mark.realdata
@pytest.mark.parametrize("name", REAL)
def test_so_it_is_with_real_radiographs(name: str, realdata: Path, tmp_path: Path) -> None:
    assert beyond((realdata / "dicom" / f"{name}.dcm").read_bytes(), tmp_path, record(**SMALL)) == NOTHING


@pytest.mark.parametrize("kind", Kind)
def test_asked_for_twice_it_is_the_same(kind: Kind) -> None:
    first = rendered(kind)
    time.sleep(1.1)  # the standard's times have seconds

    assert rendered(kind) == first


@pytest.mark.parametrize("kind", Kind)
def test_of_another_record_it_is_another(kind: Kind) -> None:
    assert rendered(kind, made_from=record(id="f" * 32)) != rendered(kind)


def test_no_uid_is_given_twice() -> None:
    objects = {kind: sound(kind) for kind in DICOM_KINDS}
    other = {kind: parsed(rendered(kind, made_from=record(id="f" * 32))) for kind in DICOM_KINDS}
    all_of_them = [*objects.values(), *other.values()]

    for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
        uids = [str(dataset[keyword].value) for dataset in all_of_them]
        assert len(set(uids)) == len(uids)
        assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids)
    assert len({int(dataset.SeriesNumber) for dataset in objects.values()}) == len(DICOM_KINDS)


@pytest.mark.parametrize("kind", DICOM_KINDS)
def test_it_is_filed_beside_the_radiograph_and_says_what_it_is(kind: Kind) -> None:
    dataset = sound(kind)

    assert dataset.StudyInstanceUID == "2.25.1001"
    assert dataset.SeriesInstanceUID != "2.25.1002"
    assert (dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate) == (
        "Canary^Tweety",
        "CANARY-17",
        "19420502",
    )
    assert (dataset.PatientSex, dataset.AccessionNumber, dataset.StudyID) == ("F", "A1", "S-1")
    assert (dataset.StudyDate, dataset.StudyTime, dataset.ReferringPhysicianName) == ("20250305", "221500", "Doe^Jane")
    assert dataset.StudyDescription == "Thorax p.a."
    assert dataset.SeriesDescription.startswith("AI ")
    assert dataset.ContentQualification == "RESEARCH"
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID


@pytest.mark.parametrize("kind", Kind)
def test_what_is_suspicious_is_in_every_object_and_the_notice_too(kind: Kind) -> None:
    data = rendered(kind)

    for said in (b"Research use only. Not a medical device.", b"window_missing", b"view_position_missing"):
        assert said in data


@pytest.mark.parametrize("kind", DICOM_KINDS)
def test_it_names_the_radiograph_by_its_true_class(kind: Kind) -> None:
    dataset = parsed(rendered(kind, source(SOPClassUID="1.2.3.4.5")))

    named = [one for one in items(dataset) if one.get("ReferencedSOPInstanceUID") == "2.25.1003"]
    assert named
    assert {one.ReferencedSOPClassUID for one in named} == {"1.2.3.4.5"}


@pytest.mark.parametrize("kind", DICOM_KINDS)
def test_every_date_is_the_records_in_the_zone_of_the_source(kind: Kind) -> None:
    dataset = parsed(rendered(kind, FAULTY["zone"]))

    made = ("20250306", "040015.250000")  # 22:30 UTC, half past five hours on
    assert (dataset.InstanceCreationDate, dataset.InstanceCreationTime) == made
    assert (dataset.SeriesDate, dataset.SeriesTime) == made
    assert dataset.TimezoneOffsetFromUTC == "+0530"
    dates = {str(element.value) for one in items(dataset) for element in one if element.VR in ("DA", "DT")}
    assert dates == {"20250306", "20250305", "19420502"}


@pytest.mark.parametrize("kind", DICOM_KINDS)
@pytest.mark.parametrize("fault", ["Japanese", "Latin"])
def test_a_name_of_any_script_is_kept(kind: Kind, fault: str) -> None:
    dataset = parsed(rendered(kind, FAULTY[fault]))

    assert dataset.SpecificCharacterSet == "ISO_IR 192"
    assert (
        str(dataset.PatientName)
        == {
            "Japanese": "Yamada^Tarou=山田^太郎=やまだ^たろう",
            "Latin": "Müller^Jürgen",
        }[fault]
    )


@pytest.mark.parametrize("kind", DICOM_KINDS)
def test_plain_text_asks_for_no_character_set(kind: Kind) -> None:
    assert "SpecificCharacterSet" not in sound(kind)


@pytest.mark.parametrize("kind", DICOM_KINDS)
def test_a_private_scheme_says_whose_it_is(kind: Kind) -> None:
    dataset = sound(kind)

    used = {one.CodingSchemeDesignator for one in items(dataset) if "CodeValue" in one}
    named = {one.CodingSchemeDesignator for one in dataset.CodingSchemeIdentificationSequence}
    assert {scheme for scheme in used if scheme.startswith("99")} <= named == {"99AGCNN"}


@pytest.mark.parametrize("kind", ["segmentation", "secondary_capture"])
def test_what_is_made_of_a_lossy_image_is_lossy(kind: Kind) -> None:
    lossy, sound = (parsed(rendered(kind, FAULTY[fault])) for fault in ("lossy", "sound"))

    assert (lossy.LossyImageCompression, lossy.LossyImageCompressionRatio) == ("01", 10)
    assert sound.get("LossyImageCompression", "00") == "00"
