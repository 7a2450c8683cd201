from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_windowing

from training.phantom.dicom import Encoding, stored_values, write_dicom
from training.phantom.film import phantom

ENCODINGS = {
    "plain": Encoding(),
    "inverted": Encoding("MONOCHROME1"),
    "compressed": Encoding(compressed=True),
    "inverted and compressed": Encoding("MONOCHROME1", compressed=True),
}


@pytest.fixture(scope="module")
def picture():
    return phantom(7, 0, (192, 160), ("Nodule",))


def read(data):
    return pydicom.dcmread(BytesIO(data))


@pytest.mark.parametrize("name", ENCODINGS)
class TestRoundTrip:
    def test_pixels(self, name, picture):
        dataset = read(write_dicom(picture, 7, ENCODINGS[name]))
        np.testing.assert_array_equal(dataset.pixel_array, stored_values(picture.values, ENCODINGS[name]))
        assert dataset.PhotometricInterpretation == ENCODINGS[name].photometric

    def test_the_window_gives_the_display_values_back(self, name, picture):
        dataset = read(write_dicom(picture, 7, ENCODINGS[name]))
        shown = apply_windowing(dataset.pixel_array, dataset) / 4095
        shown = shown if dataset.PhotometricInterpretation == "MONOCHROME2" else 1 - shown
        np.testing.assert_allclose(shown, picture.values, atol=1 / 3584)


class TestHeader:
    def test_it_is_marked_as_a_phantom(self, picture):
        dataset = read(write_dicom(picture, 7))
        assert str(dataset.PatientName).startswith("PHANTOM^")
        assert dataset.PatientID.startswith("PHANTOM-")
        assert dataset.QualityControlImage == "YES"

    def test_it_is_a_frontal_chest_for_presentation(self, picture):
        dataset = read(write_dicom(picture, 7))
        assert dataset.SOPClassUID == pydicom.uid.DigitalXRayImageStorageForPresentation
        assert (dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition) == ("DX", "CHEST", picture.view)
        assert dataset.PresentationIntentType == "FOR PRESENTATION"
        assert (dataset.Rows, dataset.Columns, dataset.BitsStored) == (192, 160, 12)
        assert dataset.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
        assert dataset.StudyDate
        assert dataset.AccessionNumber

    def test_values_fit_their_representations(self, picture):
        with pydicom.config.disable_value_validation():
            data = write_dicom(picture, 7)
        pydicom.config.settings.reading_validation_mode = pydicom.config.RAISE
        try:
            for element in read(data):
                assert element.value is not None
        finally:
            pydicom.config.settings.reading_validation_mode = pydicom.config.WARN

    def test_uids_are_valid_and_differ_between_encodings(self, picture):
        files = [read(write_dicom(picture, 7, encoding)) for encoding in (Encoding(), Encoding("MONOCHROME1"))]
        files.append(read(write_dicom(picture, 8)))
        files.append(read(write_dicom(picture, 7, Encoding(view="LL"))))
        uids = [str(file[keyword].value) for file in files for keyword in ("SOPInstanceUID", "StudyInstanceUID")]
        assert len(set(uids)) == len(uids)
        assert all(pydicom.uid.UID(uid).is_valid and uid.startswith("2.25.") for uid in uids)

    def test_writing_is_reproducible(self, picture):
        assert write_dicom(picture, 7) == write_dicom(picture, 7)

    def test_a_claimed_view(self, picture):
        dataset = read(write_dicom(picture, 7, Encoding(view="LL")))
        assert dataset.ViewPosition == "LL"
        assert "ViewCodeSequence" not in dataset
