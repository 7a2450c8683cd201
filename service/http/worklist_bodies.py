"""Response bodies for the worklist: their schemas, and the conversion of an entry to JSON and CSV."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from pydantic import Field

from service.http.bodies import Body, Links, Moment, Network, links, moment, network_body
from service.http.csv_table import lines
from service.storage import acknowledgement as acknowledgements
from service.storage import worklist
from service.triage.rule import Priority

_COLUMNS = (
    *("priority", "reason", "positive", "margin", "flags", "created", "read_at", "read_by", "accession_number"),
    *("patient_name", "patient_id", "patient_sex", "patient_age", "patient_birth_date"),
    *("study_date", "study_time", "study_description", "series_description", "modality", "study_instance_uid"),
    *("model", "model_version", "id", "acknowledged_at", "acknowledged_by", "opened_at"),
)

Pages = Callable[[str | None], Awaitable[tuple[Sequence[worklist.Entry], str | None]]]


class Patient(Body):
    """Patient attributes as in the DICOM file; empty where absent."""

    name: str
    id: str
    sex: str
    age: str
    birth_date: str


class Study(Body):
    """Study attributes as in the DICOM file; empty where absent."""

    instance_uid: str
    date: str
    time: str
    description: str


class Read(Body):
    """The reader of a radiograph and the time."""

    at: Moment
    by: str


class Opened(Body):
    """The first time that a radiograph was opened in a viewer."""

    at: Moment


class Acknowledgement(Body):
    """The acknowledgement of a result."""

    requested: bool = Field(description="an alert, which is repeated until then, asks or asked for it")
    at: Moment | None = Field(description="null until somebody acknowledges the result")
    by: str


class Entry(Body):
    """One radiograph on the worklist."""

    id: str = Field(description="id of its newest prediction")
    created: Moment
    priority: Priority
    reason: list[str] = Field(description="positive findings that determined the priority")
    positive: list[str] = Field(description="labels of all positive findings")
    margin: float | None = Field(
        description="largest logit margin over a threshold, of the findings that the triage rule names; it orders "
        "entries of one priority"
    )
    flags: list[str]
    patient: Patient
    accession_number: str
    study: Study
    series_description: str
    modality: str
    view_position: str = Field(description="PA, AP or another value in the file; empty where it states none")
    other_studies: int = Field(description="number of the patient's other studies here, by patient ID and its issuer")
    model: Network
    opened: Moment | None = Field(description="first time that it was opened in the viewer")
    read: Read | None
    acknowledgement: Acknowledgement
    links: Links


class Unread(Body):
    """Number of unread entries on the whole worklist, by priority; counted as `total`."""

    STAT: int
    HIGH: int
    ROUTINE: int


class WorklistPage(Body):
    """A page of the worklist, most urgent first."""

    items: list[Entry]
    next: str | None = Field(description="cursor of the next page; null on the last")
    total: int = Field(
        description=f"number of entries that match the filters; {worklist.MOST_COUNTED:,} stands for that many or more"
    )
    counted_to: int = Field(description="the number up to which entries are counted")
    unread: Unread
    oldest_unread_stat: Moment | None = Field(
        description="time of the oldest unread STAT entry of the whole worklist; null if there is none"
    )


def page_body(entries: Sequence[worklist.Entry], following: str | None, counts: worklist.Counts) -> WorklistPage:
    """Return a page of the worklist as a response body."""
    return WorklistPage(
        items=[entry_body(entry) for entry in entries],
        next=following,
        total=counts.total,
        counted_to=worklist.MOST_COUNTED,
        unread=Unread(**{str(priority): count for priority, count in counts.unread.items()}),
        oldest_unread_stat=counts.oldest_stat,
    )


def entry_body(entry: worklist.Entry) -> Entry:
    """Return an entry as a response body: DICOM attributes as text, empty where absent."""
    record, prediction, attributes = entry.record, entry.record.prediction, entry.record.attributes
    return Entry(
        id=record.id,
        created=record.created,
        priority=prediction.priority,
        reason=list(prediction.reason),
        positive=list(prediction.positive),
        margin=prediction.margin,
        flags=list(prediction.flags),
        patient=Patient(
            name=attributes.get("PatientName", ""),
            id=attributes.get("PatientID", ""),
            sex=attributes.get("PatientSex", ""),
            age=attributes.get("PatientAge", ""),
            birth_date=attributes.get("PatientBirthDate", ""),
        ),
        accession_number=record.accession_number,
        study=Study(
            instance_uid=record.study_instance_uid,
            date=attributes.get("StudyDate", ""),
            time=attributes.get("StudyTime", ""),
            description=attributes.get("StudyDescription", ""),
        ),
        series_description=attributes.get("SeriesDescription", ""),
        modality=attributes.get("Modality", ""),
        view_position=attributes.get("ViewPosition", ""),
        other_studies=entry.other_studies,
        model=network_body(prediction.network),
        opened=entry.opened_at,
        read=None if entry.read_at is None else Read(at=entry.read_at, by=entry.read_by),
        acknowledgement=acknowledgement_body(entry.acknowledgement),
        links=links(record.id),
    )


def acknowledgement_body(acknowledgement: acknowledgements.Acknowledgement) -> Acknowledgement:
    """Return an acknowledgement as a response body."""
    return Acknowledgement(requested=acknowledgement.requested, at=acknowledgement.at, by=acknowledgement.by)


async def table(pages: Pages) -> AsyncIterator[str]:
    """Format every entry as a line of a CSV table, RFC 4180.

    Parameters
    ----------
    pages
        Returns the page at a cursor, so that no transaction lasts as long as the table.
    """
    yield lines([_COLUMNS])
    cursor: str | None = None
    while True:
        entries, cursor = await pages(cursor)
        yield lines([_row(entry_body(entry)) for entry in entries])
        if cursor is None:
            return


def _row(entry: Entry) -> tuple[object, ...]:
    patient, study, read, model = entry.patient, entry.study, entry.read, entry.model
    acknowledged = entry.acknowledgement
    return (
        *(entry.priority, "; ".join(entry.reason), "; ".join(entry.positive), entry.margin, "; ".join(entry.flags)),
        *(moment(entry.created), moment(read.at) if read else "", read.by if read else "", entry.accession_number),
        *(patient.name, patient.id, patient.sex, patient.age, patient.birth_date),
        *(study.date, study.time, study.description, entry.series_description, entry.modality),
        *(study.instance_uid, model.name, model.version, entry.id),
        *(moment(acknowledged.at) if acknowledged.at else "", acknowledged.by),
        moment(entry.opened) if entry.opened else "",
    )
