"""Radiographs with planted names, identifiers and dates wherever the standard allows text; none of them may leak."""

import csv
import json
import re
from functools import cache
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from pydicom import DataElement, Dataset, FileMetaDataset, Sequence
from pydicom.config import IGNORE
from pydicom.datadict import DicomDictionary, dictionary_VR, tag_for_keyword
from pydicom.filewriter import dcmwrite
from pydicom.tag import BaseTag, Tag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tests.conftest import ROOT
from tests.factories import chest, noise

WORDS, DATE, UID = "Tweety^Kanarie 19420502", "19420502", "2.25.19420502"
SECRET = re.compile(rb"tweety|kanarie|19420502", re.IGNORECASE)
MEANT = re.compile(rb"2\.25\.777|MEANT-77", re.IGNORECASE)  # allowed in a prediction, not in a log
PREDICTION_FIELDS = {"study_instance_uid", "series_instance_uid", "sop_instance_uid", "accession_number"}
# Fields of a worklist entry, and columns of its CSV table, that may contain planted values
WORKLIST_FIELDS = {"patient", "study", "series_description", "modality", "read", "acknowledgement", "accession_number"}
TABLE_COLUMNS = {
    *("patient_name", "patient_id", "patient_sex", "patient_age", "patient_birth_date", "accession_number"),
    *("study_date", "study_time", "study_description", "series_description", "modality", "study_instance_uid"),
    *("read_by", "acknowledged_by"),
}

_VALUES = {
    **dict.fromkeys(("AE", "CS", "SH"), "TWEETY 19420502"),
    **dict.fromkeys(("LO", "LT", "PN", "ST", "UC", "UT"), WORDS),
    **dict.fromkeys(("DA", "DS", "IS"), DATE),
    "AS": "TWEETY",
    "DT": "19420502031415.926535",
    "TM": "TWEETY",
    "UI": UID,
    "UR": "https://tweety.example/kanarie?born=19420502",
}
_QUOTED = re.compile(r"\"([A-Z]\w+)\"")


def keywords_read() -> list[str]:
    """Return every attribute whose value decides how a file is handled, as the sources name them."""
    sources = (path for path in sorted((ROOT / "service" / "dicom").glob("*.py")) if path.name != "attributes.py")
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    return sorted({word for word in _QUOTED.findall(text) if tag_for_keyword(word) is not None})


def bare(number: int, seed: int = 0, **elements: Any) -> Dataset:
    """Return an acceptable data set with a planted patient module; UIDs and accession number match `MEANT`."""
    dataset = chest(
        noise(seed=seed),
        StudyInstanceUID="2.25.7771",
        SeriesInstanceUID="2.25.7772",
        SOPInstanceUID=f"2.25.7773{number}",
        AccessionNumber=f"MEANT-77{number}",
    )
    dataset.update({tag: element for tag, element in public_text().items() if tag.group == 0x0010})
    for keyword, value in elements.items():
        replace(dataset, keyword, value)
    return dataset


def radiograph(number: int, seed: int = 0, **elements: Any) -> Dataset:
    """Return a `bare` data set with values planted in every text element that the service does not read.

    They are planted in private elements, too, and two sequences deep.
    """
    dataset = bare(number, seed)
    dataset.update(public_text())
    deepest = Dataset(public_text())
    dataset.ReferencedStudySequence = [Dataset()]
    dataset.ReferencedStudySequence[0].PurposeOfReferenceCodeSequence = [deepest]
    plant_privately(dataset, Sequence([deepest]))
    for keyword, value in elements.items():
        replace(dataset, keyword, value)
    return dataset


@cache
def public_text() -> dict[BaseTag, DataElement]:
    """Return every public text element with a planted value, except those in `keywords_read`."""
    excluded = {*keywords_read(), "SpecificCharacterSet"}
    planted = {
        Tag(number): DataElement(number, vr, _VALUES[vr], validation_mode=IGNORE)
        for number, (vr, _, _, _, keyword) in DicomDictionary.items()
        if vr in _VALUES and 0x0002 < number >> 16 < 0xFFFC and keyword not in excluded
    }
    overlay = (0x60000022, 0x60001500)  # Overlay Description and Label, of a repeating group
    return planted | {Tag(number): DataElement(number, "LO", WORDS) for number in overlay}


def plant_privately(dataset: Dataset, items: Sequence) -> None:
    """Add a private block: text of every VR, a sequence, and bytes without a type."""
    block = dataset.private_block(0x0009, "TWEETY KANARIE", create=True)
    for offset, (vr, value) in enumerate(_VALUES.items()):
        block.add_new(offset, "LO" if vr in ("AS", "CS", "TM") else vr, value)
    block.add_new(0x70, "UN", WORDS.encode() + b" ")
    block.add_new(0x71, "SQ", items)
    block.add_new(0x72, "OB", WORDS.encode() + b" ")


def replace(dataset: Dataset, keyword: str, value: Any) -> None:
    """Set an element, also to an invalid value; None deletes it."""
    tag = Tag(keyword)
    if tag in dataset:
        del dataset[tag]
    if value is not None:
        vr = dictionary_VR(tag)
        invalid = isinstance(value, str) and (vr not in _VALUES or (vr in ("DS", "IS") and not value.isdigit()))
        dataset[tag] = DataElement(tag, "LT" if invalid else vr.split(" ")[-1], value, validation_mode=IGNORE)


def encode(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """Return a Part 10 file with values planted in its preamble and file meta information."""
    dataset.file_meta = FileMetaDataset()
    meta = dataset.file_meta
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID, UID
    meta.ImplementationClassUID, meta.ImplementationVersionName = UID, "TWEETY 19420502"
    meta.SourceApplicationEntityTitle = meta.SendingApplicationEntityTitle = "TWEETY 19420502"
    meta.PrivateInformationCreatorUID, meta.PrivateInformation = UID, WORDS.encode() + b" "
    stream = BytesIO()
    dataset.preamble = WORDS.encode().ljust(128)
    dcmwrite(stream, dataset, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
    return stream.getvalue()


def file(number: int, seed: int = 0, **elements: Any) -> bytes:
    """Return the file of `radiograph(number, seed, **elements)`."""
    return encode(radiograph(number, seed, **elements))


# Detection of planted values...


def in_text(text: str | bytes) -> list[bytes]:
    """Return every planted value in a text that must contain none: log, header, URL, problem document."""
    data = text.encode() if isinstance(text, str) else text
    return SECRET.findall(data) + MEANT.findall(data)


def in_answer(body: Any, name: str = "") -> list[str]:
    """Return planted values in the wrong fields of a JSON answer; file names are those of the request."""
    if isinstance(body, dict):
        return [place for key, value in body.items() for place in in_answer(value, key)]
    if isinstance(body, list):
        return [place for value in body for place in in_answer(value, name)]
    if name == "filename":
        return []
    text = json.dumps(body).encode()
    return [f"{name}: {body}"] if SECRET.search(text) or (MEANT.search(text) and name not in PREDICTION_FIELDS) else []


def in_worklist(body: Any) -> list[str]:
    """Return planted values in the wrong fields of a page of the worklist, or of one entry."""
    if isinstance(body, dict) and "items" in body:
        return in_answer(body | {"items": []}) + [place for entry in body["items"] for place in in_worklist(entry)]
    return in_answer({name: value for name, value in body.items() if name not in WORKLIST_FIELDS})


def in_table(text: str) -> list[str]:
    """Return planted values in the wrong columns of the worklist's CSV table."""
    rows = csv.DictReader(StringIO(text, newline=""))
    return [
        f"{name}: {value}"
        for row in rows
        for name, value in row.items()
        if name not in TABLE_COLUMNS and in_text(value)
    ]


def in_files(folder: Path, data: Path) -> list[str]:
    """Return files with planted values in name or content, except instances, objects and the database in `data`."""
    allowed = {
        data / "instances",
        data / "objects",
        *(data / f"triage.sqlite{suffix}" for suffix in ("", "-wal", "-shm")),
    }
    paths = [path for path in folder.rglob("*") if not allowed & {path, *path.parents}]
    names = [str(path) for path in paths if in_text(str(path.relative_to(folder)))]
    return names + [str(path) for path in paths if path.is_file() and SECRET.search(path.read_bytes())]
