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
            deadline = time.monotonic() + 60
            while app.state.pipeline._obstacle:
                assert time.monotonic() < deadline
                assert app.state.pipeline.failure is None
                time.sleep(0.05)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/dicom-web"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def client(url: str) -> DICOMwebClient:
    """A client after storing two radiographs, one with a Content-Length and one in chunks."""
    client = DICOMwebClient(url, chunk_size=10**9)
    for number, size in ((1, 10**9), (2, 4096)):
        answer = DICOMwebClient(url, chunk_size=size).store_instances([radiograph(number)])
        assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == [f"2.25.4000{number}"]
        assert "FailedSOPSequence" not in answer
    return client


def test_several_instances_are_stored_in_one_chunked_body(url: str) -> None:
    client = DICOMwebClient(url, chunk_size=1000)

    answer = client.store_instances([radiograph(1), radiograph(2), radiograph(1)], study_instance_uid=STUDY)

    assert answer.RetrieveURL == f"{url}/studies/{STUDY}"
    assert len(answer.ReferencedSOPSequence) == 3


def test_studies_match_names_dates_and_modalities(client: DICOMwebClient) -> None:
    for filters in ({}, {"PatientName": "müller*"}, {"StudyDate": "20260101-20260131", "ModalitiesInStudy": "SR"}):
        [result] = client.search_for_studies(search_filters=filters)
        study = Dataset.from_json(result)
        assert (study.StudyInstanceUID, study.PatientName, study.StudyDate) == (STUDY, NAME, "20260102")
        assert list(study.ModalitiesInStudy) == ["DX", "OT", "PR", "SEG", "SR"]
        assert study.NumberOfStudyRelatedInstances == 12
    assert client.search_for_studies(search_filters={"PatientID": "nobody"}) == []


def test_a_study_has_its_radiographs_and_the_objects_derived_from_them(client: DICOMwebClient) -> None:
    series = [Dataset.from_json(result) for result in client.search_for_series(STUDY)]
    instances = [Dataset.from_json(result) for result in client.search_for_instances(STUDY)]

    assert sorted(item.Modality for item in series) == ["DX", *["OT"] * 2, *["PR"] * 2, *["SEG"] * 4, *["SR"] * 2]
    assert len(instances) == 12
    assert [item.SOPInstanceUID for item in instances[:2]] == ["2.25.40001", "2.25.40002"]


def test_the_pages_together_are_all_results(client: DICOMwebClient) -> None:
    whole = client.search_for_instances(STUDY)

    pages = [client.search_for_instances(STUDY, limit=5, offset=offset) for offset in (0, 5, 10, 15)]

    assert [len(page) for page in pages] == [5, 5, 2, 0]
    assert [result for page in pages for result in page] == whole


def test_a_file_is_retrieved_as_it_was_stored(client: DICOMwebClient) -> None:
    dataset = client.retrieve_instance(STUDY, SERIES, "2.25.40001")

    assert dataset == radiograph(1)
    assert len(client.retrieve_series(STUDY, SERIES)) == 2


def test_a_study_is_retrieved_with_its_derived_objects(client: DICOMwebClient) -> None:
    listed = {result["00080018"]["Value"][0] for result in client.search_for_instances(STUDY)}

    assert {dataset.SOPInstanceUID for dataset in client.retrieve_study(STUDY)} == listed


def test_the_metadata_are_those_of_the_file(client: DICOMwebClient) -> None:
    metadata = Dataset.from_json(client.retrieve_instance_metadata(STUDY, SERIES, "2.25.40001"))

    stored = radiograph(1)
    del stored.PixelData, metadata.AvailableTransferSyntaxUID
    assert metadata == stored
    assert len(client.retrieve_study_metadata(STUDY)) == 12
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
def test_a_derived_object_agrees_with_its_search_result(client: DICOMwebClient, kind: str) -> None:
    form = kind.form
    results = [
        Dataset.from_json(result)
        for result in client.search_for_instances(search_filters={"SOPClassUID": form.sop_class_uid}, limit=1)
    ]
    [result] = results

    dataset = client.retrieve_instance(STUDY, result.SeriesInstanceUID, result.SOPInstanceUID)
    metadata = client.retrieve_instance_metadata(STUDY, result.SeriesInstanceUID, result.SOPInstanceUID)

    for keyword in (
        *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "Modality", "SeriesNumber"),
        *("SeriesDescription", "InstanceNumber", "PatientName", "PatientID", "StudyDate", "AccessionNumber"),
    ):
        assert dataset[keyword].value == result[keyword].value, keyword
    assert Dataset.from_json(metadata).SOPInstanceUID == dataset.SOPInstanceUID


def test_the_overlay_is_rendered(client: DICOMwebClient) -> None:
    sop_class = {"SOPClassUID": Kind.SECONDARY_CAPTURE.form.sop_class_uid}
    [document] = client.search_for_instances(STUDY, search_filters=sop_class, limit=1)
    result = Dataset.from_json(document)

    data = client.retrieve_instance_rendered(STUDY, result.SeriesInstanceUID, result.SOPInstanceUID)

    assert Image.open(BytesIO(data)).mode == "RGB"
