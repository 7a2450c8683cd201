"""Values as modalities write them, in the languages of the table, each with the outcome of the gate."""

from itertools import chain

import pytest
from pydicom.charset import encode_string

from service.dicom.gate import accept
from service.dicom.radiograph import radiograph
from service.dicom.words import ROWS
from service.errors import UnsuitableImage
from tests.factories import chest, dicom_bytes, ramp

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR", "ignore:The value length")

PIXELS = ramp(512, 600)
VIEW_MISSING, PART_MISSING = ("view_position_missing",), ("body_part_missing",)


def codes_of(**elements) -> list[str]:
    with pytest.raises(UnsuitableImage) as refusal:
        accept(chest(PIXELS, **elements))
    return [reason.code for reason in refusal.value.reasons]


BODY_PARTS = [  # BodyPartExamined of a chest
    *("CHEST", "CHESTPA", "CHESTAP", "CHEST2VIEWS", "CHEST PORT", "CXR", "LUNGS", "BEDSIDECHEST"),  # en
    *("THORAX", "THORAXPA", "Thorax 2 Ebenen", "Röntgen Thorax", "RÖNTGENTHORAX", "LUNGE", "Brustkorb"),  # de
    *("TÓRAX", "TORAX", "Tórax AP", "PECHO", "TÒRAX"),  # es, ca
    *("TÓRAX PA", "PULMÃO", "PEITO"),  # pt
    *("POITRINE", "POUMONS", "THORAX FACE"),  # fr
    *("TORACE", "POLMONI"),  # it
    "BORSTKAS",  # nl
    *("BRÖSTKORG", "LUNGOR", "BRYSTKASSE", "LUNGER", "TORAKS"),  # sv, da, no
    *("RINTAKEHÄ", "KEUHKOT"),  # fi
    *("KLATKA PIERSIOWA", "KLP", "PŁUCA"),  # pl
    *("HRUDNÍK", "PLÍCE", "PĽÚCA"),  # cs, sk
    *("MELLKAS", "PLUĆA", "TORACE", "PLĂMÂNI"),  # hu, hr, ro
    *("ГРУДНАЯ КЛЕТКА", "ОГК", "ЛЁГКИЕ", "ГРУДНА КЛІТКА", "ГРЪДЕН КОШ"),  # ru, uk, bg
    *("GÖĞÜS", "AKCİĞER", "AKCIGER"),  # tr
    *("ΘΩΡΑΚΑΣ", "Θώρακας"),  # el
    *("胸部", "胸部正面", "胸部(立位)", "胸片", "胸"),  # zh, ja
    *("흉부", "흉부 PA"),  # ko
    *("NGỰC", "Phổi", "DADA"),  # vi, id
    *("ทรวงอก", "صدر", "الصدر", "חזה"),  # th, ar, he
]


@pytest.mark.parametrize("part", BODY_PARTS)
def test_a_chest_in_any_language(part: str) -> None:
    assert accept(chest(PIXELS, BodyPartExamined=part)) == ()


LATERALS = [
    *("CHEST LAT", "W Chest Lat.", "CHEST, LATERAL", "Chest LL", "CHESTLAT", "L LAT CHEST"),  # en
    *("TORAX PERFIL", "Tórax lateral", "TÓRAX EM PERFIL"),  # es, pt
    *("THORAX PROFIL", "Thorax de profil", "Thorax latérale"),  # fr
    *("Thorax seitlich", "Thorax seitl. stehend", "THORAX SEITAUFNAHME"),  # de
    *("Torace LL", "TORACE LATERO-LATERALE", "torace laterale"),  # it
    *("Thorax lateraal", "Thorax dwars"),  # nl
    *("Thorax sida", "Thorax sidebillede", "Thorax side", "Thorax sivu", "Thorax sivukuva"),  # sv, da, no, fi
    *("Klatka piersiowa - bok", "KLP boczne", "Hrudník - boční", "Hrudník bočná"),  # pl, cs, sk
    *("Mellkas oldalirányú", "Torace profil", "Pluća profil"),  # hu, ro, hr
    *("Органы грудной клетки, боковая проекция", "ОГК бок", "ОГК бокова"),  # ru, uk
    *("AKCİĞER YAN", "Akciğer grafisi, yan", "Θώρακας πλάγια", "ΘΩΡΑΚΟΣ ΠΡΟΦΙΛ"),  # tr, el
    *("胸部侧位", "胸部側位", "胸部側面", "胸部 側面像", "흉부 측면", "흉부측면"),  # zh, ja, ko
    *("Ngực nghiêng", "X-QUANG PHỔI NGHIÊNG", "ทรวงอกด้านข้าง", "صدر جانبي", "חזה צד"),  # vi, th, ar, he
]
OTHER_VIEWS = [
    *("CHEST DECUBITUS", "LT LATERAL DECUBITUS", "CHEST OBLIQUE", "CHEST RAO", "CHEST AP LORDOTIC", "PA APICAL"),  # en
    *("TORAX OBLICUA", "Tórax oblíqua", "TÓRAX LORDÓTICA", "torace obliqua", "tórax decúbito lateral"),  # es, pt, it
    *("Thorax schräg", "Thorax Linksseitenlage", "Thorax oblique", "thorax schuin"),  # de, fr, nl
    *("Thorax skrå", "Thorax viisto", "Klatka piersiowa skośne", "Hrudník šikmá"),  # da, fi, pl, cs
    *("ОГК косая", "胸部斜位", "胸部側臥位", "胸部侧卧位", "肺尖", "흉부 측와위"),  # ru, ja, zh, ko
]
OTHER_PARTS = [
    *("SCAPULA", "Scapula AP", "CLAVICLE", "STERNUM", "RIBS", "AC JOINTS", "SHOULDER AP", "T-SPINE AP"),  # en
    *("ESCÁPULA", "Clavícula AP", "PARRILLA COSTAL", "OMBRO", "gril costal", "ÉPAULE FACE"),  # es, pt, fr
    *("Schulterblatt", "Rippen", "Brustbein", "BWS a.p.", "knöcherner Hemithorax", "scapola", "emitorace"),  # de, it
    *(
        "sleutelbeen",
        "nyckelben",
        "skulder",
        "solisluu",
        "obojczyk",
        "łopatka",
        "klíční kost",
    ),  # nl, sv, da, fi, pl, cs
    *("ключица", "köprücük kemiği", "ωμοπλάτη", "锁骨", "鎖骨", "肩甲骨", "肋骨", "胸椎正面", "쇄골", "xương đòn"),
]


@pytest.mark.parametrize("text", [*LATERALS, *OTHER_VIEWS])
def test_another_view_that_only_a_description_of_the_image_names(text: str) -> None:
    for keyword in ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription"):
        assert codes_of(ViewPosition=None, **{keyword: text}) == ["view_unsuitable"], keyword


@pytest.mark.parametrize("text", LATERALS)
def test_a_lateral_view_that_only_a_description_of_the_study_names(text: str) -> None:
    for keyword in ("StudyDescription", "PerformedProcedureStepDescription", "RequestedProcedureDescription"):
        assert codes_of(ViewPosition="UNKNOWN", **{keyword: text}) == ["view_unsuitable"], keyword


@pytest.mark.parametrize("text", [*LATERALS, *OTHER_VIEWS])
def test_a_body_part_may_name_the_view(text: str) -> None:
    assert "view_unsuitable" in codes_of(ViewPosition=None, BodyPartExamined=text)


@pytest.mark.parametrize("text", OTHER_PARTS)
def test_another_part_that_only_a_description_names(text: str) -> None:
    assert codes_of(ViewPosition=None, SeriesDescription=text) == ["view_unsuitable"]  # the body part says chest
    assert codes_of(ViewPosition=None, StudyDescription=text) == ["view_unsuitable"]
    assert codes_of(BodyPartExamined=None, SeriesDescription=text) == ["body_part_unsuitable"]
    assert codes_of(BodyPartExamined=None, StudyDescription=text) == ["body_part_unsuitable"]
    assert codes_of(BodyPartExamined=text) == ["body_part_unsuitable"]


@pytest.mark.parametrize("text", ["SCAPULA", "ABDOMEN", "Rippen links", "Clavícula AP"])
def test_a_study_of_another_part_needs_a_description_of_the_image(text: str) -> None:
    assert codes_of(ViewPosition=None, StudyDescription=text) == ["view_unsuitable"]
    assert accept(chest(PIXELS, ViewPosition=None, StudyDescription=text, ProtocolName="Thorax")) == VIEW_MISSING
    assert accept(chest(PIXELS, StudyDescription=text)) == ()
    assert accept(chest(PIXELS, ViewPosition=None, StudyDescription=f"{text} series")) == VIEW_MISSING


FRONTALS = [
    *("CHEST PA", "CHEST,GENERAL", "Chest AP Portable", "PA STEHEND", "Thorax p.a.", "Thorax d.v.", "TORAX FRENTE"),
    *("Thorax de face", "torace postero-anteriore", "Klatka piersiowa tylno-przednie", "Hrudník zadopřední", "P→A"),
    *("ОГК прямая", "Akciğer ön-arka", "胸部正面", "胸部后前位", "흉부 정면", "Ngực thẳng", "decúbito supino AP"),
    *("Thorax im Bett", "CHEST BED SIDE", "RX TORAX PORTATIL", "AP 2"),
]
OF_SEVERAL_IMAGES = [  # descriptions of studies that have a frontal view, too
    *("CHEST PA AND LATERAL", "CHEST (PA AND LAT)", "XR CHEST 2 VIEWS", "CHEST PA/LAT", "Chest with lateral"),
    *(
        "CHEST & LATERAL",
        "CHEST W/ LATERAL",
        "CHEST 2 VIEWS LATERAL",
        "XR Chest PA, Lateral and Oblique",
        "Thorax in 2 Ebenen",
    ),
    *(
        "Thorax p.a. und seitlich",
        "Thorax a.p./seitl.",
        "TORAX PA Y LATERAL",
        "Tórax frente y perfil",
        "TÓRAX PA E PERFIL",
    ),
    *("Thorax face et profil", "torace PA e LL", "Thorax PA en lateraal", "Thorax PA + sivu", "KLP PA i bok"),
    *(
        "Hrudník zadopřední a boční",
        "ОГК прямая и боковая",
        "AKCİĞER PA VE YAN",
        "胸部正侧位",
        "胸部正側面",
        "흉부 정측면",
    ),
    *("胸部2方向", "Ngực thẳng nghiêng", "Chest and scapula"),
]


@pytest.mark.parametrize("text", [*FRONTALS, *OF_SEVERAL_IMAGES])
def test_a_study_with_a_frontal_view(text: str) -> None:
    for keyword in ("StudyDescription", "PerformedProcedureStepDescription"):
        assert accept(chest(PIXELS, ViewPosition=None, **{keyword: text})) == VIEW_MISSING, keyword


@pytest.mark.parametrize("text", FRONTALS)
def test_a_frontal_view_that_only_a_description_names(text: str) -> None:
    assert accept(chest(PIXELS, ViewPosition=None, SeriesDescription=text)) == VIEW_MISSING


VIEWS = [
    *("PA", "AP", "ap supine", "AP GRID", "AP_NONGRID", "POSTERIOR_ANTERIOR", "POSTERO-ANTERIOR", "P-A", "P.A.", "P→A"),
    *("PA STEHEND", "AP LIEGEND", "AP Canary", "FRENTE", "FACE", "FRONTALE", "ZADOPŘEDNÍ", "DV", "ПРЯМАЯ", "ÖN-ARKA"),
    *("正位", "正面", "后前位", "정면", "CHEST PA", "PA 1"),
]


@pytest.mark.parametrize("position", VIEWS)
def test_a_frontal_view_in_any_language(position: str) -> None:
    assert accept(chest(PIXELS, ViewPosition=position)) == ()


@pytest.mark.parametrize(
    "position",
    [
        *(
            "LL",
            "RL",
            "LLD",
            "LLO",
            "RLO",
            "AP LLD",
            "LAO",
            "AP LORDOTIC",
            "AP AXIAL",
            "PA OBLIQUE",
            "PA\\LAT",
            "SCAPULA AP",
        ),
        *("PERFIL", "SEITLICH", "側面", "侧位", "측면", "PROFIL", "YAN", "БОКОВАЯ", "Canary", "-", "2", "PAN", "HEAD"),
    ],
)
def test_any_other_view_position_is_refused(position: str) -> None:
    assert codes_of(ViewPosition=position.split("\\")) == ["view_unsuitable"]


@pytest.mark.parametrize(
    "value",
    ["UNKNOWN", "unknown", "OTHER", "UNDEFINED", "N/A", "NONE", "Not specified", "未知", "Sonstiges", "inconnu"],
)
def test_unknown_is_missing(value: str) -> None:
    assert accept(chest(PIXELS, BodyPartExamined=value)) == PART_MISSING
    assert accept(chest(PIXELS, ViewPosition=value)) == VIEW_MISSING
    assert codes_of(BodyPartExamined=value, StudyDescription="Knee") == ["body_part_unsuitable"]


@pytest.mark.parametrize("position", ["PORTABLE", "SUPINE", "ERECT", "CHEST", "STEHEND", "臥位"])
def test_a_position_that_says_nothing_of_the_projection_is_missing(position: str) -> None:
    assert accept(chest(PIXELS, ViewPosition=position)) == VIEW_MISSING
    assert codes_of(ViewPosition=position, SeriesDescription="Thorax seitlich") == ["view_unsuitable"]


@pytest.mark.parametrize(
    ("charset", "encoding", "part"),
    [
        ("ISO_IR 192", "utf-8", "TÓRAX"),
        (None, "utf-8", "TÓRAX"),
        (None, "utf-8", "胸部"),
        ("ISO_IR 100", "latin-1", "TÓRAX"),
        (None, "latin-1", "TÓRAX"),
        ("GB18030", "gb18030", "胸部"),
        ("GBK", "gbk", "胸片"),
        ("ISO_IR 144", "iso8859_5", "ОГК"),
        ("ISO_IR 148", "iso8859_9", "AKCİĞER"),
        ("ISO_IR 126", "iso8859_7", "ΘΩΡΑΚΑΣ"),
    ],
)
def test_code_strings_in_the_character_set_of_the_file(charset: str | None, encoding: str, part: str) -> None:
    """PS3.5 6.2 gives VR CS no other characters than ASCII, and pydicom reads every byte as Latin-1."""
    as_pydicom_writes = part.encode(encoding).decode("latin-1")
    data = dicom_bytes(PIXELS, BodyPartExamined=as_pydicom_writes, SpecificCharacterSet=charset)

    assert radiograph(data).header.flags == ()


@pytest.mark.parametrize(
    ("charset", "encoding", "part", "patient"),
    [
        ("GB18030", "gb18030", "胸部", "张^小东"),
        ("GBK", "gbk", "胸片", "张^小东"),
        ("ISO_IR 144", "iso8859_5", "ОГК", "Иванов"),
        ("ISO_IR 126", "iso8859_7", "ΘΩΡΑΚΑΣ", "Διονυσιος"),
    ],
)
def test_code_strings_beside_a_name_in_the_same_character_set(
    charset: str, encoding: str, part: str, patient: str
) -> None:
    """Text is decoded first, and the data set then declares UTF-8."""
    as_pydicom_writes = part.encode(encoding).decode("latin-1")
    elements = {"BodyPartExamined": as_pydicom_writes, "PatientName": patient, "SpecificCharacterSet": charset}

    header = radiograph(dicom_bytes(PIXELS, **elements)).header

    assert header.flags == ()
    assert header.attributes["PatientName"] == patient


@pytest.mark.parametrize(
    ("charset", "encodings"), [("ISO 2022 IR 87", ["iso2022_jp"]), ("ISO 2022 IR 149", ["euc_kr"])]
)
def test_code_strings_with_escape_sequences(charset: str, encodings: list[str]) -> None:
    part = "胸部" if "87" in charset else "흉부"
    as_pydicom_writes = encode_string(part, ["iso8859", *encodings]).decode("latin-1")
    data = dicom_bytes(PIXELS, BodyPartExamined=as_pydicom_writes, SpecificCharacterSet=["", charset])

    assert radiograph(data).header.flags == ()


@pytest.mark.parametrize("charset", ["ISO_IR 192", "GB18030", None])
def test_descriptions_in_the_character_set_of_the_file(charset: str | None) -> None:
    described = "胸部侧位" if charset else "胸部侧位".encode().decode("latin-1")  # nothing declared, and UTF-8
    data = dicom_bytes(PIXELS, ViewPosition=None, SeriesDescription=described, SpecificCharacterSet=charset)

    with pytest.raises(UnsuitableImage):
        radiograph(data)


def test_every_row_has_languages_and_words() -> None:
    languages = set(chain.from_iterable(row.languages.split() for row in ROWS))

    assert {"en", "es", "pt", "fr", "de", "it", "nl", "sv", "da", "no", "fi", "pl", "cs", "ru", "tr", "el"} <= languages
    assert {"zh", "ja", "ko", "vi", "th", "ar", "he", "la"} <= languages
    assert all(len(language) == 2 for language in languages)
    assert all(word == word.strip() and word for row in ROWS for word in row.words.split(", "))
