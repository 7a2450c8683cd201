"""Store, search and retrieve with dicomweb-client, over a socket."""

import socket
import threading
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from dicomweb_client import DICOMwebClient
from PIL import Image
from pydicom import Dataset, dcmread

from service.http.app import create_app
from service.objects.kinds import DICOM_KINDS, Kind
from tests.factories import SERIES, STUDY, chest, encode, ramp
from tests.service.serving import settings_for

NAME = "Müller^Änne"


def radiograph(number: int) -> Dataset:
    elements = {
        "SOPInstanceUID": f"2.25.4000{number}",
        "InstanceNumber": str(number),
        "StudyDate": "20260102",
        "StudyTime": "081530",
        "PatientName": NAME,
        "SpecificCharacterSet": "ISO_IR 192",
    }
    return dcmread(BytesIO(encode(chest(ramp(256, 300) + number, **elements))))


@pytest.fixture(scope="module")
def url(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service on a free port, ready."""
    app = create_app(settings_for(artefact, tmp_path_factory.mktemp("data")))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            until = time.monotonic() + 60
            while app.state.pipeline._waiting_for:
                assert time.monotonic() < until
                assert app.state.pipeline.failure is None
                time.sleep(0.05)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/dicom-web"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def client(url: str) -> DICOMwebClient:
    """It has stored two radiographs, one with a length and one in chunks."""
    client = DICOMwebClient(url, chunk_size=10**9)
    for number, size in ((1, 10**9), (2, 4096)):
        answer = DICOMwebClient(url, chunk_size=size).store_instances([radiograph(number)])
        assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == [f"2.25.4000{number}"]
        assert "FailedSOPSequence" not in answer
    return client


def test_many_are_stored_at_once_in_chunks(url: str) -> None:
    client = DICOMwebClient(url, chunk_size=1000)

    answer = client.store_instances([radiograph(1), radiograph(2), radiograph(1)], study_instance_uid=STUDY)

    assert answer.RetrieveURL == f"{url}/studies/{STUDY}"
    assert len(answer.ReferencedSOPSequence) == 3


def test_studies_are_found(client: DICOMwebClient) -> None:
    for filters in ({}, {"PatientName": "müller*"}, {"StudyDate": "20260101-20260131", "ModalitiesInStudy": "SR"}):
        [found] = client.search_for_studies(search_filters=filters)
        study = Dataset.from_json(found)
        assert (study.StudyInstanceUID, study.PatientName, study.StudyDate) == (STUDY, NAME, "20260102")
        assert list(study.ModalitiesInStudy) == ["DX", "OT", "PR", "SEG", "SR"]
        assert study.NumberOfStudyRelatedInstances == 10
    assert client.search_for_studies(search_filters={"PatientID": "nobody"}) == []


def test_source_and_what_is_made_of_it_stand_side_by_side(client: DICOMwebClient) -> None:
    series = [Dataset.from_json(one) for one in client.search_for_series(STUDY)]
    instances = [Dataset.from_json(one) for one in client.search_for_instances(STUDY)]

    assert sorted(one.Modality for one in series) == ["DX", *["OT"] * 2, *["PR"] * 2, *["SEG"] * 2, *["SR"] * 2]
    assert len(instances) == 10
    assert [one.SOPInstanceUID for one in instances[:2]] == ["2.25.40001", "2.25.40002"]


def test_pages_follow_one_another(client: DICOMwebClient) -> None:
    whole = client.search_for_instances(STUDY)

    pages = [client.search_for_instances(STUDY, limit=4, offset=offset) for offset in (0, 4, 8, 12)]

    assert [len(page) for page in pages] == [4, 4, 2, 0]
    assert [one for page in pages for one in page] == whole


def test_a_file_comes_back_as_it_was_sent(client: DICOMwebClient) -> None:
    found = client.retrieve_instance(STUDY, SERIES, "2.25.40001")

    assert found == radiograph(1)
    assert len(client.retrieve_series(STUDY, SERIES)) == 2


def test_the_whole_study_comes_back_with_what_is_made_of_it(client: DICOMwebClient) -> None:
    listed = {one["00080018"]["Value"][0] for one in client.search_for_instances(STUDY)}

    assert {one.SOPInstanceUID for one in client.retrieve_study(STUDY)} == listed


def test_the_metadata_are_those_of_the_file(client: DICOMwebClient) -> None:
    told = Dataset.from_json(client.retrieve_instance_metadata(STUDY, SERIES, "2.25.40001"))

    sent = radiograph(1)
    del sent.PixelData, told.AvailableTransferSyntaxUID
    assert told == sent
    assert len(client.retrieve_study_metadata(STUDY)) == 10
    assert len(client.retrieve_series_metadata(STUDY, SERIES)) == 2


def test_frames_are_the_pixels(client: DICOMwebClient) -> None:
    [frame] = client.retrieve_instance_frames(STUDY, SERIES, "2.25.40001", [1])

    assert frame == radiograph(1).PixelData


def test_a_rendered_image_is_windowed_and_fits(client: DICOMwebClient) -> None:
    def picture(media_type: str, **params: str) -> Image.Image:
        data = client.retrieve_instance_rendered(
            STUDY, SERIES, "2.25.40001", media_types=(media_type,), params=params or None
        )
        return Image.open(BytesIO(data))

    png, jpeg, small = picture("image/png"), picture("image/jpeg"), picture("image/png", viewport="100,100")
    exact = np.asarray(picture("image/png", window="1000,1,linear"))

    assert (png.format, png.mode, png.size) == ("PNG", "L", (300, 256))
    assert (jpeg.format, jpeg.size, small.size) == ("JPEG", (300, 256), (100, 85))
    assert np.abs(np.asarray(png, int) - np.asarray(jpeg, int)).max() <= 4
    np.testing.assert_array_equal(exact, np.where(ramp(256, 300) + 1 > 999.5, 255, 0))


@pytest.mark.parametrize("kind", DICOM_KINDS)
def test_what_is_made_is_what_was_announced(client: DICOMwebClient, kind: str) -> None:
    form = kind.form
    announced = [
        Dataset.from_json(one)
        for one in client.search_for_instances(search_filters={"SOPClassUID": form.sop_class_uid}, limit=1)
    ]
    [wanted] = announced

    made = client.retrieve_instance(STUDY, wanted.SeriesInstanceUID, wanted.SOPInstanceUID)
    told = client.retrieve_instance_metadata(STUDY, wanted.SeriesInstanceUID, wanted.SOPInstanceUID)

    for keyword in (
        *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "Modality", "SeriesNumber"),
        *("SeriesDescription", "InstanceNumber", "PatientName", "PatientID", "StudyDate", "AccessionNumber"),
    ):
        assert made[keyword].value == wanted[keyword].value, keyword
    assert Dataset.from_json(told).SOPInstanceUID == made.SOPInstanceUID


def test_the_overlay_is_rendered(client: DICOMwebClient) -> None:
    sop_class = {"SOPClassUID": Kind.SECONDARY_CAPTURE.form.sop_class_uid}
    [found] = client.search_for_instances(STUDY, search_filters=sop_class, limit=1)
    wanted = Dataset.from_json(found)

    data = client.retrieve_instance_rendered(STUDY, wanted.SeriesInstanceUID, wanted.SOPInstanceUID)

    assert Image.open(BytesIO(data)).mode == "RGB"
