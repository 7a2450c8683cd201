"""Radiographs full of what must not get out: names, identifiers and dates wherever the standard allows text."""

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
MEANT = re.compile(rb"2\.25\.777|MEANT-77", re.IGNORECASE)  # what an answer carries, and a log does not
OF_THE_ANSWER = {"study_instance_uid", "series_instance_uid", "sop_instance_uid", "accession_number"}
# What an entry of the worklist carries of the tags, and who says to have read it; and the columns of its table
OF_THE_WORKLIST = {"patient", "study", "series_description", "modality", "read", "accession_number"}
OF_THE_TABLE = {
    *("patient_name", "patient_id", "patient_sex", "patient_age", "patient_birth_date", "accession_number"),
    *("study_date", "study_time", "study_description", "series_description", "modality", "study_instance_uid"),
    "read_by",
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
_ASKED = re.compile(r"\"([A-Z]\w+)\"")


def keywords_read() -> list[str]:
    """Every attribute that the service decides by, from its sources; what it only keeps is planted like any other."""
    sources = (path for path in sorted((ROOT / "service" / "dicom").glob("*.py")) if path.name != "attributes.py")
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    return sorted({word for word in _ASKED.findall(text) if tag_for_keyword(word) is not None})


def bare(number: int, seed: int = 0, **elements: Any) -> Dataset:
    """One that the gate accepts. Of the patient's module all is planted; UIDs and accession number are `MEANT`."""
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
    """A `bare` one with something planted in every text element that the service does not read.

    Also in private elements and three sequences deep.
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
    """Every public text element, but for those that the service reads and decides by."""
    spared = {*keywords_read(), "SpecificCharacterSet"}
    planted = {
        Tag(number): DataElement(number, vr, _VALUES[vr], validation_mode=IGNORE)
        for number, (vr, _, _, _, keyword) in DicomDictionary.items()
        if vr in _VALUES and 0x0002 < number >> 16 < 0xFFFC and keyword not in spared
    }
    overlay = (0x60000022, 0x60001500)  # Overlay Description and Label, of a repeating group
    return planted | {Tag(number): DataElement(number, "LO", WORDS) for number in overlay}


def plant_privately(dataset: Dataset, items: Sequence) -> None:
    """A private block: text of every VR, a sequence, and bytes that do not say what they are."""
    block = dataset.private_block(0x0009, "TWEETY KANARIE", create=True)
    for offset, (vr, value) in enumerate(_VALUES.items()):
        block.add_new(offset, "LO" if vr in ("AS", "CS", "TM") else vr, value)
    block.add_new(0x70, "UN", WORDS.encode() + b" ")
    block.add_new(0x71, "SQ", items)
    block.add_new(0x72, "OB", WORDS.encode() + b" ")


def replace(dataset: Dataset, keyword: str, value: Any) -> None:
    """Set an element whatever the standard says of its value; None takes it away."""
    tag = Tag(keyword)
    if tag in dataset:
        del dataset[tag]
    if value is not None:
        vr = dictionary_VR(tag)
        wrong = isinstance(value, str) and (vr not in _VALUES or (vr in ("DS", "IS") and not value.isdigit()))
        dataset[tag] = DataElement(tag, "LT" if wrong else vr.split(" ")[-1], value, validation_mode=IGNORE)


def encode(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """A Part 10 file, with something planted also in its preamble and file meta information."""
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
    """The file of `radiograph(number, seed, **elements)`."""
    return encode(radiograph(number, seed, **elements))


# Looking for it...


def in_text(text: str | bytes) -> list[bytes]:
    """Everything planted that is in a text meant to carry none of it: log, header, URL, problem."""
    data = text.encode() if isinstance(text, str) else text
    return SECRET.findall(data) + MEANT.findall(data)


def in_answer(body: Any, name: str = "") -> list[str]:
    """What a JSON answer has where it should not: UIDs and accession number have their fields, a sent name has its."""
    if isinstance(body, dict):
        return [place for key, value in body.items() for place in in_answer(value, key)]
    if isinstance(body, list):
        return [place for value in body for place in in_answer(value, name)]
    if name == "filename":
        return []
    text = json.dumps(body).encode()
    return [f"{name}: {body}"] if SECRET.search(text) or (MEANT.search(text) and name not in OF_THE_ANSWER) else []


def in_worklist(body: Any) -> list[str]:
    """The same of the worklist's answers: a page of entries, or one entry."""
    if isinstance(body, dict) and "items" in body:
        return in_answer(body | {"items": []}) + [place for one in body["items"] for place in in_worklist(one)]
    return in_answer({name: value for name, value in body.items() if name not in OF_THE_WORKLIST})


def in_table(text: str) -> list[str]:
    """The same of its table."""
    rows = csv.DictReader(StringIO(text, newline=""))
    return [
        f"{name}: {value}" for row in rows for name, value in row.items() if name not in OF_THE_TABLE and in_text(value)
    ]


def in_files(folder: Path, instances: Path) -> list[str]:
    """Files with something in their names or contents, but for the instances and the database beside them."""
    kept = {instances, *(instances.with_name(f"triage.sqlite{suffix}") for suffix in ("", "-wal", "-shm"))}
    found = [path for path in folder.rglob("*") if not kept & {path, *path.parents}]
    names = [str(path) for path in found if in_text(str(path.relative_to(folder)))]
    return names + [str(path) for path in found if path.is_file() and SECRET.search(path.read_bytes())]
