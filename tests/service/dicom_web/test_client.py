"""Store, search and retrieve with dicomweb-client for Python and for JavaScript, over a socket."""

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from dicomweb_client import DICOMwebClient
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless

from service.http.app import create_app
from service.objects.kinds import DICOM_KINDS, Kind
from tests.conftest import ROOT
from tests.factories import SERIES, STUDY, chest, compressed, encode, ramp
from tests.postgresql import PostgreSQL
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


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The URL of a database on a server, or None."""
    if request.param == "sqlite":
        yield None
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    with server.database() as url:
        yield url


@pytest.fixture(scope="module")
def url(artefact: Path, tmp_path_factory: pytest.TempPathFactory, database: str | None) -> Iterator[str]:
    """A service on a free port, ready."""
    app = create_app(settings_for(artefact, tmp_path_factory.mktemp("data"), url=database))
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
    document = client.retrieve_instance_metadata(STUDY, SERIES, "2.25.40001")
    assert list(document.pop("7FE00010")) == ["vr", "BulkDataURI"]
    metadata = Dataset.from_json(document)

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
    assert metadata["00080018"]["Value"] == [dataset.SOPInstanceUID]
    assert ("7FE00010" in metadata) == ("PixelData" in dataset)


def test_the_overlay_is_rendered(client: DICOMwebClient) -> None:
    sop_class = {"SOPClassUID": Kind.SECONDARY_CAPTURE.form.sop_class_uid}
    [document] = client.search_for_instances(STUDY, search_filters=sop_class, limit=1)
    result = Dataset.from_json(document)

    data = client.retrieve_instance_rendered(STUDY, result.SeriesInstanceUID, result.SOPInstanceUID)

    assert Image.open(BytesIO(data)).mode == "RGB"


# Every call with its defaults, of a radiograph that is stored compressed...

OTHER = {"study": "2.25.41001", "series": "2.25.41002", "instance": "2.25.41003"}
UIDS = tuple(OTHER.values())
PIXELS = ramp(256, 300)


@pytest.fixture(scope="module")
def stored_compressed(url: str) -> DICOMwebClient:
    """Return a client after storing a radiograph in JPEG-LS with a long VOI LUT."""
    lut = Dataset()
    lut.LUTDescriptor, lut.LUTExplanation = [4096, 0, 12], "NORMAL"
    lut.add_new("LUTData", "OW", np.arange(4096, dtype="<u2").tobytes())
    uids = {"StudyInstanceUID": UIDS[0], "SeriesInstanceUID": UIDS[1], "SOPInstanceUID": UIDS[2]}
    data = compressed(chest(PIXELS, VOILUTSequence=[lut], **uids), JPEGLSLossless)
    client = DICOMwebClient(url)
    client.store_instances([dcmread(BytesIO(data))])
    return client


def is_uncompressed(dataset: Dataset) -> bool:
    is_explicit = dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    is_radiograph = dataset.SOPInstanceUID == UIDS[2]
    return bool(is_explicit and (not is_radiograph or np.array_equal(dataset.pixel_array, PIXELS)))


@pytest.mark.parametrize(
    ("retrieve", "count"),
    [
        (lambda client: client.retrieve_study(UIDS[0]), 6),
        (lambda client: list(client.iter_study(UIDS[0])), 6),
        (lambda client: client.retrieve_series(*UIDS[:2]), 1),
        (lambda client: list(client.iter_series(*UIDS[:2])), 1),
    ],
)
def test_instances_are_retrieved_with_defaults(
    stored_compressed: DICOMwebClient, retrieve: Callable[[DICOMwebClient], list[Dataset]], count: int
) -> None:
    datasets = retrieve(stored_compressed)

    assert [is_uncompressed(dataset) for dataset in datasets] == [True] * count


def test_an_instance_is_retrieved_with_defaults_as_stored(stored_compressed: DICOMwebClient) -> None:
    """This call alone names transfer-syntax=*."""
    dataset = stored_compressed.retrieve_instance(*UIDS)

    assert dataset.file_meta.TransferSyntaxUID == JPEGLSLossless
    np.testing.assert_array_equal(dataset.pixel_array, PIXELS)


def test_frames_are_retrieved_with_defaults(stored_compressed: DICOMwebClient) -> None:
    frames = [
        *stored_compressed.retrieve_instance_frames(*UIDS, [1]),
        *stored_compressed.iter_instance_frames(*UIDS, [1]),
    ]

    assert [bytes(frame) for frame in frames] == [PIXELS.astype("<u2").tobytes()] * 2


def test_pictures_are_retrieved_with_defaults(stored_compressed: DICOMwebClient) -> None:
    pictures = [
        stored_compressed.retrieve_instance_rendered(*UIDS),
        stored_compressed.retrieve_series_rendered(*UIDS[:2]),
        stored_compressed.retrieve_instance_frames_rendered(*UIDS, [1]),
    ]

    assert [Image.open(BytesIO(picture)).size for picture in pictures] == [(300, 256)] * 3


def test_metadata_lead_to_bulk_data_with_defaults(stored_compressed: DICOMwebClient) -> None:
    [metadata] = stored_compressed.retrieve_series_metadata(*UIDS[:2])
    assert metadata == stored_compressed.retrieve_instance_metadata(*UIDS)
    assert metadata in stored_compressed.retrieve_study_metadata(UIDS[0])
    assert len(stored_compressed.retrieve_study_metadata(UIDS[0])) == 6
    named = [metadata["7FE00010"]["BulkDataURI"], metadata["00283010"]["Value"][0]["00283006"]["BulkDataURI"]]
    # The client sends Host without the port, so the URIs lack it, too.
    uris = [f"{stored_compressed.base_url}{uri.partition('/dicom-web')[2]}" for uri in named]
    expected = [PIXELS.astype("<u2").tobytes(), np.arange(4096, dtype="<u2").tobytes()]

    assert [b"".join(stored_compressed.retrieve_bulkdata(uri)) for uri in uris] == expected
    assert [b"".join(stored_compressed.iter_bulkdata(uri)) for uri in uris] == expected


def test_the_client_for_javascript_retrieves_with_defaults(stored_compressed: DICOMwebClient, url: str) -> None:
    """The package is in `.ci/js`; `make lint-js` installs it and Node."""
    modules = ROOT / "build" / "js" / "node_modules"
    node = next((path for path in (ROOT / "build" / "js" / "bin" / "node",) if path.exists()), shutil.which("node"))
    if node is None or not (modules / "dicomweb-client").is_dir():
        pytest.skip("dicomweb-client for JavaScript is not installed; run make build/js/made")
    script = Path(__file__).with_name("client.cjs")
    run = subprocess.run(
        [node, script, modules / "dicomweb-client", url, *UIDS], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    answers = json.loads(run.stdout)

    octets = PIXELS.nbytes
    assert answers.pop("retrieveInstanceFrames") == answers.pop("retrieveBulkData") == [octets]
    assert answers.pop("lutData") == [8192]
    assert [len(answers.pop(f"retrieve{level}")) for level in ("Study", "Series")] == [6, 1]
    assert answers.pop("retrieveInstance") > octets
    assert [answers.pop(f"retrieve{level}Metadata") for level in ("Study", "Series", "Instance")] == [6, 1, 1]
    assert [answers.pop(f"searchFor{level}") for level in ("Studies", "Series", "Instances")] == [1, 6, 6]
    pictures = ("InstanceRendered", "InstanceThumbnail", "InstanceFramesRendered", "InstanceFramesThumbnail")
    assert all(answers.pop(f"retrieve{picture}") > 500 for picture in pictures)
    assert answers == {}
