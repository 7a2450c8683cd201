"""The real files, each with the outcome that a radiology engineer expects."""

from itertools import pairwise
from pathlib import Path

import gdcm
import numpy as np
import pytest

from service.dicom.canvas import canvas, grey_values
from service.dicom.decoder import decode
from service.dicom.radiograph import radiograph
from service.dicom.reader import read
from service.errors import MalformedDicom, UnsuitableImage
from tests.factories import dicom_bytes

pytestmark = pytest.mark.realdata

INTENT, VIEW, LOW = "presentation_intent_missing", "view_position_missing", "low_resolution"

ACCEPTED = {  # name: flags, (height, width)
    "fuji_cr_chest_pa_mono1_10bit": ((INTENT, LOW), (440, 440)),
    "fuji_cr_chest_pa_mono1_10bit_noPart10header": ((INTENT, LOW), (440, 440)),
    "philips_cr_chest_pa_mono1_15bit_RG1_JLSN": ((INTENT,), (1955, 1841)),
    "siim_nih_cr_chest_pa_mono2_jpegbaseline": ((INTENT,), (1024, 1024)),
    "siim_nih_fake_mono1_jpegbaseline": ((INTENT,), (1024, 1024)),
    "udacity_nih_test1": ((VIEW, INTENT), (1024, 1024)),
    "udacity_nih_test2": ((VIEW, INTENT), (1024, 1024)),
    "udacity_nih_test3": ((VIEW, INTENT), (1024, 1024)),
}
REFUSED = {  # name: codes of the gate
    "neg_cr_teeth_mono1_modalityLUT_jpegll": ["body_part_unsuitable"],
    "neg_fuji_cr_hip_mono2_10bit_RG2_J2KI": ["body_part_unsuitable"],
    "neg_fuji_cr_hip_mono2_10bit_RG2_J2KR": ["body_part_unsuitable"],
    "neg_fuji_cr_hip_mono2_10bit_RG2_JLSL": ["body_part_unsuitable"],
    "neg_fuji_cr_hip_mono2_10bit_RG2_JPLL": ["body_part_unsuitable"],
    "neg_fuji_cr_hip_mono2_10bit_RG2_JPLY": ["body_part_unsuitable"],
    "neg_fuji_cr_hip_mono2_10bit_RG2_RLE": ["body_part_unsuitable"],
}
MALFORMED = {"agfa_dx_skeleton_nopixeldata_forpresentation": "pixel_data_missing"}

HIP = "neg_fuji_cr_hip_mono2_10bit_RG2_"


@pytest.fixture
def file(realdata):
    return lambda name: realdata / "dicom" / f"{name}.dcm"


def gdcm_values(path: Path) -> np.ndarray:
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    image = reader.GetImage()
    values = np.frombuffer(image.GetBuffer().encode("utf-8", "surrogateescape"), np.uint8)
    if image.GetPixelFormat().GetBitsAllocated() == 16:
        values = values.view("<u2")
    return values.reshape(image.GetDimension(1), image.GetDimension(0))


def test_the_tables_are_complete(realdata):
    names = {path.stem for path in (realdata / "dicom").glob("*.dcm")}
    assert names == {*ACCEPTED, *REFUSED, *MALFORMED}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name, file):
    flags, shape = ACCEPTED[name]
    result = radiograph(file(name).read_bytes())
    assert result.header.flags == flags
    assert (result.header.height, result.header.width) == result.values.shape == shape
    assert 0.3 < result.values.mean() < 0.8
    assert canvas(result.values).shape == (1, 896, 896)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, file):
    with pytest.raises(UnsuitableImage) as refusal:
        radiograph(file(name).read_bytes())
    assert [reason.code for reason in refusal.value.reasons] == REFUSED[name]


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name, file):
    with pytest.raises(MalformedDicom) as refusal:
        radiograph(file(name).read_bytes())
    assert refusal.value.code == MALFORMED[name]


@pytest.mark.parametrize("name", [name for name in (*ACCEPTED, *REFUSED) if "noPart10" not in name])
def test_stored_values_are_those_of_gdcm(name, file):
    ours, theirs = decode(read(file(name).read_bytes())).astype(int), gdcm_values(file(name)).astype(int)
    assert ours.shape == theirs.shape
    lossy = name.endswith(("J2KI", "jpegbaseline"))
    assert np.abs(ours - theirs).max() <= (2 if lossy else 0)  # inverse transforms may round apart


def test_one_hip_in_four_lossless_syntaxes(file):
    hips = [decode(read(file(HIP + syntax).read_bytes())) for syntax in ("J2KR", "JLSL", "JPLL", "RLE")]
    assert all(np.array_equal(one, other) for one, other in pairwise(hips))


@pytest.mark.parametrize("syntax", ["J2KI", "JPLY"])
def test_one_hip_in_lossy_syntaxes(file, syntax):
    exact, lossy = (decode(read(file(HIP + suffix).read_bytes())).astype(int) for suffix in ("J2KR", syntax))
    assert 0 < np.abs(exact - lossy).mean() < 6  # of 1023


def test_fuji_with_and_without_header_is_one_image(file):
    names = ("fuji_cr_chest_pa_mono1_10bit", "fuji_cr_chest_pa_mono1_10bit_noPart10header")
    one, other = (radiograph(file(name).read_bytes()).header for name in names)
    assert one.display_sha256 == other.display_sha256
    assert one.sop_instance_uid == other.sop_instance_uid


def test_siim_and_its_fake_share_uid_and_stored_values_and_not_display_values(file):
    paths = [file(name) for name in ("siim_nih_cr_chest_pa_mono2_jpegbaseline", "siim_nih_fake_mono1_jpegbaseline")]
    stored = [decode(read(path.read_bytes())) for path in paths]
    true, fake = (radiograph(path.read_bytes()) for path in paths)
    assert np.array_equal(*stored)
    assert true.header.sop_instance_uid == fake.header.sop_instance_uid
    assert true.header.display_sha256 != fake.header.display_sha256
    assert np.allclose(true.values, 1 - fake.values, atol=1e-6)


@pytest.mark.parametrize("name", ["fuji_cr_chest_pa_mono1_10bit", "philips_cr_chest_pa_mono1_15bit_RG1_JLSN"])
def test_bones_are_white(name, file):
    values = radiograph(file(name).read_bytes()).values
    height, width = values.shape
    spine = values[height // 3 : 2 * height // 3, int(0.47 * width) : int(0.53 * width)].mean()
    lungs = values[height // 3 : height // 2, [*range(width // 5, width // 3)]].mean()
    assert spine > lungs


def test_a_published_image_as_jpeg_and_as_dicom_gives_one_canvas(realdata):
    path = sorted((realdata / "nih-subset" / "images").glob("*.jpg"))[0]
    values = grey_values(path)
    eight = np.rint(values * 255).astype(np.uint8)
    twelve = np.rint(values * 4095).astype(np.uint16)
    expected = canvas(values)
    assert np.array_equal(canvas(radiograph(dicom_bytes(eight)).values), expected)
    assert np.abs(canvas(radiograph(dicom_bytes(twelve)).values) - expected).max() < 1 / 255
