from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from service.dicom.description import IMAGE_DESCRIPTIONS, STUDY_DESCRIPTIONS
from service.dicom.gate import accept
from service.dicom.policy import Policy
from service.dicom.vocabulary import Meaning
from service.errors import MalformedDicom, UnsuitableImage
from tests.factories import chest, ramp

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of pydicom, which the service ignores, too

PIXELS = ramp(512, 600)


def coded(value: str, scheme: str = "SCT") -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "Canary"
    return [item]


def codes_of(**elements) -> list[str]:
    with pytest.raises(UnsuitableImage) as refusal:
        accept(chest(PIXELS, **elements))
    assert "Canary" not in refusal.value.message
    return [reason.code for reason in refusal.value.reasons]


def test_a_plain_chest_passes_without_flags():
    assert accept(chest(PIXELS)) == ()


ACCEPTED = [
    {"Modality": "CR"},
    {"Modality": "dx"},
    {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "Modality": "CR"},  # secondary capture
    {"BodyPartExamined": "chest"},
    {"BodyPartExamined": "THORAX"},
    {"BodyPartExamined": "PORT CHEST"},
    {"BodyPartExamined": "CHEST_PA"},
    {"BodyPartExamined": "LUNG"},
    *({"BodyPartExamined": part} for part in ("CHEST FRONT", "CHEST AP ONLY", "CHEST INFANT", "CHEST_NEW")),
    *(
        {"ViewPosition": view}
        for view in ("ANTERO-POSTERIOR", "POSTERO-ANTERIOR", "Postero Anterior", "FRONT", "FRONTAL")
    ),
    {"BodyPartExamined": "CHEST 2 VIEWS"},
    {"BodyPartExamined": None, "AnatomicRegionSequence": coded("816094009")},
    {"BodyPartExamined": None, "AnatomicRegionSequence": coded("T-D3000", "SRT")},
    {"ViewPosition": "AP"},
    {"ViewPosition": "ap supine"},
    {"ViewPosition": "P-A"},
    {"ViewPosition": "PA_ERECT"},
    {"ViewPosition": None, "ViewCodeSequence": coded("272479007")},
    {"ViewPosition": None, "ViewCodeSequence": coded("R-10206", "SRT")},
    {"PatientOrientation": ["L", "F"]},
    {"PatientOrientation": ["L", "FP"]},
    {"PatientOrientation": ["l", "f"]},
    {"SeriesDescription": "Knee lateral"},  # the elements have precedence over a description
    {"NumberOfFrames": 1},
    {"NumberOfFrames": 0},  # some writers leave it
]


@pytest.mark.parametrize("elements", ACCEPTED, ids=str)
def test_accepted_without_flags(elements):
    assert accept(chest(PIXELS, **elements)) == ()


FLAGGED = [
    ("body_part_missing", {"BodyPartExamined": None}),
    ("body_part_missing", {"BodyPartExamined": " "}),
    ("body_part_missing", {"BodyPartExamined": None, "SeriesDescription": "Chest and abdomen"}),
    ("body_part_missing", {"BodyPartExamined": None, "AnatomicRegionSequence": coded("1", "99LOCAL")}),
    ("body_part_missing", {"BodyPartExamined": None, "StudyDescription": "Chest PA"}),
    ("body_part_missing", {"BodyPartExamined": None, "SeriesDescription": "Chest", "StudyDescription": "Pelvis"}),
    ("view_position_missing", {"ViewPosition": None}),
    ("view_position_missing", {"ViewPosition": "", "PatientOrientation": ["L", "F"]}),
    ("view_position_missing", {"ViewPosition": None, "SeriesDescription": "PA and lateral"}),
    ("presentation_intent_missing", {"PresentationIntentType": None}),
    ("orientation_unusual", {"PatientOrientation": ["R", "F"]}),
    ("burned_in_annotation", {"BurnedInAnnotation": "YES"}),
]


@pytest.mark.parametrize(("flag", "elements"), FLAGGED, ids=str)
def test_flagged(flag, elements):
    assert accept(chest(PIXELS, **elements)) == (flag,)


REFUSED = [
    ("modality_unsuitable", {"Modality": "CT"}),
    ("modality_unsuitable", {"Modality": "MG"}),
    ("modality_unsuitable", {"Modality": None}),
    ("body_part_unsuitable", {"BodyPartExamined": "HIP"}),
    ("body_part_unsuitable", {"BodyPartExamined": "CHEST ABDOMEN"}),
    ("body_part_unsuitable", {"BodyPartExamined": ["CHEST", "HAND"]}),
    ("body_part_unsuitable", {"BodyPartExamined": "TSPINE"}),
    *(("body_part_unsuitable", {"BodyPartExamined": f"CHEST {part}"}) for part in ("ABD", "ABDO", "RIB", "RIBS")),
    ("body_part_unsuitable", {"BodyPartExamined": None, "StudyDescription": "Knee 2 views"}),
    ("body_part_unsuitable", {"BodyPartExamined": None, "SeriesDescription": "AP", "StudyDescription": "Pelvis"}),
    ("body_part_unsuitable", {"BodyPartExamined": "Canary"}),
    ("body_part_unsuitable", {"BodyPartExamined": "-"}),
    ("body_part_unsuitable", {"BodyPartExamined": None, "AnatomicRegionSequence": coded("122495006")}),
    ("body_part_unsuitable", {"BodyPartExamined": None, "SeriesDescription": "MODALITYLUT - TEETH"}),
    ("view_unsuitable", {"ViewPosition": "LL"}),
    ("view_unsuitable", {"ViewPosition": "RL"}),
    ("view_unsuitable", {"ViewPosition": "LATERAL"}),
    ("view_unsuitable", {"ViewPosition": "LAO"}),
    ("view_unsuitable", {"ViewPosition": "AP LLD"}),
    ("view_unsuitable", {"ViewPosition": "ANTERIOR OBLIQUE"}),
    ("view_unsuitable", {"ViewPosition": "Canary"}),
    ("view_unsuitable", {"ViewPosition": None, "ViewCodeSequence": coded("399173006")}),
    ("view_unsuitable", {"ViewCodeSequence": coded("399067008")}),
    ("view_unsuitable", {"PatientOrientation": ["P", "F"]}),
    ("view_unsuitable", {"PatientOrientation": ["a", "f"]}),
    ("view_unsuitable", {"ViewPosition": None, "PatientOrientation": ["A", "F"]}),
    ("view_unsuitable", {"ViewPosition": None, "SeriesDescription": "W Chest Lat."}),
    ("view_unsuitable", {"ViewPosition": None, "BodyPartExamined": "CHEST LAT"}),
    ("multi_frame", {"NumberOfFrames": 2}),
    ("for_processing", {"PresentationIntentType": "FOR PROCESSING"}),
    ("for_processing", {"PresentationIntentType": None, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1"}),
    ("colour_image", {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}),
    ("colour_image", {"PhotometricInterpretation": "PALETTE COLOR"}),
    ("colour_image", {"PhotometricInterpretation": None}),
    ("image_too_small", {"Rows": 255}),
]


@pytest.mark.parametrize(("code", "elements"), REFUSED, ids=str)
def test_refused_for_one_reason(code, elements):
    assert codes_of(**elements) == [code]


SAID = [
    ({"Modality": "CT"}, "(0008,0060) Modality is CT; CR or DX is expected"),
    ({"Modality": None}, "(0008,0060) Modality is missing; CR or DX is expected"),
    ({"BodyPartExamined": "hand"}, "(0018,0015) BodyPartExamined is HAND; a chest is expected"),
    ({"BodyPartExamined": ["CHEST", "HAND"]}, "(0018,0015) BodyPartExamined is CHEST HAND; a chest alone is expected"),
    ({"ViewPosition": "LL"}, "(0018,5101) ViewPosition is LL; PA or AP is expected"),
    (
        {"PresentationIntentType": "FOR PROCESSING"},
        "(0008,0068) PresentationIntentType is FOR PROCESSING; an image FOR PRESENTATION is expected",
    ),
    (
        {"PhotometricInterpretation": "RGB"},
        "(0028,0004) PhotometricInterpretation is RGB; a greyscale image, MONOCHROME1 or MONOCHROME2, is expected",
    ),
    ({"Rows": 255}, "The shorter of (0028,0010) Rows and (0028,0011) Columns is 255; at least 256 is expected"),
]


@pytest.mark.parametrize(("elements", "message"), SAID, ids=str)
def test_a_refusal_says_what_it_is_and_what_is_expected(elements, message):
    with pytest.raises(UnsuitableImage) as refusal:
        accept(chest(PIXELS, **elements))
    assert refusal.value.message == message


@pytest.mark.parametrize("value", ["Canary", "HAND Canary", "HAND 19420502", "HAND^Tweety", "Hand " * 20])
@pytest.mark.parametrize(
    "keyword", ["Modality", "BodyPartExamined", "ViewPosition", "PresentationIntentType", "PhotometricInterpretation"]
)
def test_a_refusal_quotes_no_value_but_terms_of_a_list(keyword, value):
    with pytest.raises(UnsuitableImage) as refusal:
        accept(chest(PIXELS, **{keyword: value}))
    assert f"{keyword} is something else; " in refusal.value.message
    assert not any(part in refusal.value.message.casefold() for part in ("hand", "canary", "tweety", "1942"))


def test_all_reasons_at_once():
    codes = codes_of(Modality="CT", BodyPartExamined="HIP", ViewPosition="LL", NumberOfFrames=3, Columns=100)
    expected = ["modality_unsuitable", "body_part_unsuitable", "view_unsuitable", "multi_frame", "image_too_small"]
    assert codes == expected


@pytest.mark.parametrize(("shape", "flags"), [((256, 900), ("low_resolution",)), ((512, 512), ())])
def test_resolution(shape, flags):
    assert accept(chest(ramp(*shape))) == flags


def test_an_image_without_a_size_is_malformed():
    with pytest.raises(MalformedDicom):
        accept(chest(PIXELS, Rows=None))


def test_words_of_a_site():
    policy = Policy(
        words=(
            (Meaning.CHEST, "Röhre"),
            (Meaning.OTHER_PART, "Kiste"),
            (Meaning.FRONTAL, "gerade"),
            (Meaning.LATERAL, "quer"),
            (Meaning.OTHER_VIEW, "schief"),
            (Meaning.NEUTRAL, "lateral"),  # in place of the table's meaning
        )
    )

    assert accept(chest(PIXELS, BodyPartExamined="RÖHRE", ViewPosition="GERADE"), policy) == ()
    assert accept(chest(PIXELS, ViewPosition="PA LATERAL"), policy) == ()
    for elements in (
        {"BodyPartExamined": "CHEST KISTE"},
        {"ViewPosition": "PA QUER"},
        {"ViewPosition": None, "SeriesDescription": "PA schief"},
    ):
        with pytest.raises(UnsuitableImage):
            accept(chest(PIXELS, **elements), policy)
    assert codes_of(BodyPartExamined="RÖHRE", ViewPosition="GERADE") == ["body_part_unsuitable", "view_unsuitable"]


def test_long_values_are_read_in_part():
    # A meaning of 600 000 characters in each of 2000 items took half a minute.
    dataset = chest(PIXELS, ViewPosition=None, SeriesDescription="ap" * 10**6, StudyDescription="胸" * 10**6)
    dataset.ViewCodeSequence = coded("1", "99LOCAL") * 2000
    dataset.ViewCodeSequence[0].CodeMeaning = "pa " * 200_000

    start = process_time()
    assert accept(dataset) == ()
    assert process_time() - start < 1


TEXT = st.one_of(st.none(), st.text(max_size=80), st.sampled_from(["CHEST", "PA", "LAT", "胸部", "Knie", "\x1b$B"]))
KEYWORDS = ("BodyPartExamined", "ViewPosition", "PatientAge", "SpecificCharacterSet", *IMAGE_DESCRIPTIONS)


@given(values=st.fixed_dictionaries(dict.fromkeys((*KEYWORDS, *STUDY_DESCRIPTIONS[:3]), TEXT)), code=TEXT)
def test_any_text_is_accepted_refused_or_malformed(values, code):
    sequences = {}
    if code is not None:
        sequences = dict.fromkeys(
            ("AnatomicRegionSequence", "ViewCodeSequence", STUDY_DESCRIPTIONS[3]), coded(code, code)
        )
    dataset = chest(ramp(2, 2), Rows=512, Columns=600, **values, **sequences)

    try:
        flags = accept(dataset)
    except (UnsuitableImage, MalformedDicom):
        return
    assert set(flags) <= {"body_part_missing", "view_position_missing", "paediatric"}
