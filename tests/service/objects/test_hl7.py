"""The message, validated against HL7 v2.5.1 by hl7apy and read by python-hl7, neither of which the service uses."""

import hl7
import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from hl7apy.v2_5_1.fields import FIELDS
from hl7apy.v2_5_1.tables import TABLES
from hypothesis import given
from hypothesis import strategies as st

from model.labels import LABELS
from service.objects.hl7_text import escaped, person, segment, timestamp
from tests.service.objects.rendered import FAULTY, SOUND, item, record, rendered, source

BRIEF = record(findings=record().prediction.findings[-3:])
TEXTS = (  # the faults that the message could show
    *("name of a hospital", "name too long", "name in six parts", "Japanese", "Latin", "charset unsaid"),
    *("dates of old", "dates of nowhere", "sex in words", "sex unknown", "zone", "zone of nowhere"),
)
ANONYMOUS = ("nobody", "empty")  # without a Patient ID, which PID-3 requires


def validate(message: bytes) -> None:
    parse_message(message.decode(), validation_level=VALIDATION_LEVEL.STRICT, find_groups=True).validate()


def read(data: bytes = FAULTY["sound"], **changes: object) -> hl7.Message:
    return hl7.parse(rendered("hl7", data, record(**changes)).decode())


def field(message: hl7.Message, name: str, number: int) -> str:
    return str(message.segment(name)[number]) if len(message.segment(name)) > number else ""


def observations(message: hl7.Message) -> list[list[str]]:
    """Return the fields of each OBX, by their numbers."""
    return [[str(value) for value in obx] + [""] * (20 - len(obx)) for obx in message.segments("OBX")]


@pytest.mark.parametrize("fault", TEXTS)
def test_it_is_valid_whatever_the_header(fault: str) -> None:
    validate(rendered("hl7", FAULTY[fault], BRIEF))  # the validator takes long for many findings


def test_it_is_valid_with_every_finding() -> None:
    validate(rendered("hl7"))


@pytest.mark.parametrize("fault", ANONYMOUS)
def test_without_a_patient_id_only_pid_3_is_missing(fault: str) -> None:
    message = rendered("hl7", FAULTY[fault], BRIEF)

    validate(message.replace(b"PID|1||", b"PID|1||X"))
    assert field(hl7.parse(message.decode()), "PID", 5) == "^^^^^^U"


def test_the_validator_would_find_a_missing_field() -> None:
    with pytest.raises(Exception, match="OBX_11"):
        validate(rendered("hl7", made_from=BRIEF).replace(b"|P|||2025", b"||||2025"))


def test_header() -> None:
    message = read()

    assert field(message, "MSH", 9) == "ORU^R01^ORU_R01"
    assert (field(message, "MSH", 12), field(message, "MSH", 18)) == ("2.5.1", "UNICODE UTF-8")
    assert field(message, "MSH", 7) == "20250305223015+0000"
    assert 1 <= len(field(message, "MSH", 10)) <= 20
    assert field(message, "MSH", 10) != field(read(id="f" * 32), "MSH", 10)


def test_patient_and_order() -> None:
    data = source(
        **SOUND,
        IssuerOfPatientID="HOSPITAL",
        IssuerOfPatientIDQualifiersSequence=[item(UniversalEntityID="1.2.3", UniversalEntityIDType="ISO")],
        IssuerOfAccessionNumberSequence=[item(LocalNamespaceEntityID="RIS")],
        PlacerOrderNumberImagingServiceRequest="P-9",
        RequestAttributesSequence=[item(RequestedProcedureID="RP-1", ScheduledProcedureStepID="SPS-1")],
    )
    message = read(data)

    assert field(message, "PID", 3) == "CANARY-17^^^HOSPITAL&1.2.3&ISO"
    assert [field(message, "PID", number) for number in (5, 7, 8)] == ["Canary^Tweety", "19420502", "F"]
    assert [field(message, "ORC", number) for number in (1, 2, 3)] == ["RE", "P-9", "A1^RIS"]
    assert [field(message, "OBR", number) for number in (2, 3, 18, 19, 20)] == ["P-9", "A1^RIS", "A1", "RP-1", "SPS-1"]
    assert [field(message, "OBR", number) for number in (5, 7, 24, 25, 27)] == ["", "20250305221500", "RAD", "P", ""]
    validate(rendered("hl7", data, BRIEF))


def test_a_filler_order_number_of_the_request_comes_before_the_accession_number() -> None:
    message = read(source(FillerOrderNumberImagingServiceRequest="F-7"))

    assert (field(message, "OBR", 3), field(message, "OBR", 18)) == ("F-7", "A1")


@pytest.mark.parametrize(
    ("priority", "expected"),
    [("STAT", "S^Stat"), ("HIGH", "A^As soon as possible"), ("ROUTINE", "R^Routine")],
)
def test_the_priority_is_a_code_of_table_0485(priority: str, expected: str) -> None:
    message = read(priority=priority)

    assert field(message, "TQ1", 9) == f"{expected}^HL70485"
    [coded] = [obx for obx in observations(message) if obx[3].startswith("PRIORITY^")]
    assert coded[5].startswith(f"{priority}^")


def test_findings_have_their_presence_probability_and_abnormal_flag() -> None:
    found = observations(read())

    # Of `record`: 0.75 + 7 / 100 for the eighth label, at a threshold of 0.5 + 7 / 200
    pneumothorax = [obx for obx in found if obx[3] == "36118008^Pneumothorax^SCT"]
    assert [obx[2:9] for obx in pneumothorax] == [
        ["CE", "36118008^Pneumothorax^SCT", "1", "52101004^Present^SCT", "", "", "A"],
        ["NM", "36118008^Pneumothorax^SCT", "2", "82", "%^Percent^UCUM", "<53.5", "A"],
    ]
    mass = [obx for obx in found if obx[3] == "4147007^Mass^SCT"]
    assert [(obx[2], obx[5], obx[8]) for obx in mass] == [
        ("CE", "272519000^Absent^SCT", "N"),
        ("NM", "10.4", "N"),
    ]
    [hernia] = [obx for obx in found if obx[3].startswith("HERNIA")]  # without an operating point
    assert (hernia[2], hernia[5], hernia[7], hernia[8]) == ("NM", "1.2346", "", "")
    assert len([obx for obx in found if obx[2] == "NM"]) == len(LABELS)


@pytest.mark.parametrize("priority", ["STAT", "HIGH", "ROUTINE"])
def test_codes_are_of_the_tables_of_the_standard(priority: str) -> None:
    message = read(FAULTY["Japanese"], priority=priority)
    found = observations(message)

    def among(number: str, *values: str) -> bool:
        return set(values) - {""} <= set(TABLES[f"HL7{number}"][1])

    assert among("0125", *(obx[2] for obx in found if obx[2] != "HD"))  # HD: IHE RAD-28
    assert among("0078", *(obx[8] for obx in found))
    assert among("0085", *(obx[11] for obx in found))
    assert among("0123", field(message, "OBR", 25))
    assert among("0074", field(message, "OBR", 24))
    assert among("0211", field(message, "MSH", 18))
    assert among("0465", *(name.split("^")[7] for name in field(message, "PID", 5).split("~")))
    letter = field(message, "TQ1", 9).split("^")[0]
    assert among("0485", letter)
    assert among("0027", letter)  # for OBR-5
    assert "HL70485" in FIELDS["TQ1_9"]


def test_every_observation_is_preliminary_and_numbered() -> None:
    found = observations(read())

    assert {obx[11] for obx in found} == {"P"}
    assert [obx[1] for obx in found] == [str(number) for number in range(1, len(found) + 1)]
    assert {obx[18] for obx in found} == {"agcnn-densenet121 2.1^AG-CNN triage"}
    assert found[0][5] == "Research use only. Not a medical device."
    assert [obx[5] for obx in found if obx[2] == "HD"] == ["2.25.1001"]
    assert len({(obx[3], obx[4]) for obx in found}) == len(found)  # OBX-4 tells equal identifiers apart


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Doe^Jane^M^Dr^MD", "Doe^Jane^M^MD^Dr"),  # DICOM: prefix, suffix; HL7: suffix, prefix
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada^Tarou^^^^^^A~山田^太郎^^^^^^I~やまだ^たろう^^^^^^P"),
        ("=山田^太郎", "山田^太郎"),
        ("O'Neil|&~^A", "O'Neil\\F\\\\T\\\\R\\^A"),
        ("", ""),
    ],
)
def test_a_person_name_becomes_an_extended_one(name: str, expected: str) -> None:
    assert person(name) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("20250305", "221500.123456", "+0530"), "20250305221500.1234+0530"),
        (("20250305", "2215"), "202503052215"),
        (("20250305", "", "+0100"), "20250305"),
        (("", "221500"), ""),
    ],
)
def test_a_date_and_time_becomes_a_time_stamp(values: tuple[str, ...], expected: str) -> None:
    assert timestamp(*values) == expected


def test_the_delimiters_and_line_ends_are_escaped() -> None:
    assert escaped("a|b^c~d&e\\f\r\ng\x0bh\x1ci") == "a\\F\\b\\S\\c\\R\\d\\T\\e\\E\\f\\X0D\\\\X0A\\g h i"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_text_comes_back_from_another_parser_and_never_ends_a_field_or_frame(text: str) -> None:
    line = segment("NTE", {1: "1", 3: escaped(f"[{text}]")})
    message = hl7.parse(f"MSH|^~\\&|A\r{line}\r")

    assert not {"\r", "\n", "\x0b", "\x1c"} & set(line)
    assert len(message) == 2
    received = message.unescape(str(message.segment("NTE")[3]))
    printable = (" " if (c < " " or c == "\x7f") and c not in "\r\n" else c for c in text)
    assert received == f"[{''.join(printable)}]"


def test_a_hostile_header_stays_in_its_fields() -> None:
    hostile = "A|B^C&D~E\\F"
    data = source(AccessionNumber=hostile, PatientID=hostile, StudyDescription=hostile)
    message = read(data)

    assert message.unescape(field(message, "PID", 3)) == message.unescape(field(message, "OBR", 18))
    assert field(message, "PID", 3).count("|") == 0
    assert len(message.segments("OBX")) == len(read().segments("OBX"))
    assert field(message, "OBR", 25) == "P"
