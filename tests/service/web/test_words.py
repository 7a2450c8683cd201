import pytest

from tests.service.web.chromium import Modules


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Doe^Jane", "Doe, Jane"),
        ("Doe^Jane^Mary^Dr^Jr", "Doe, Dr Jane Mary, Jr"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田, 太郎)"),
        ("=山田^太郎", "山田, 太郎"),
        ("^Jane", "Jane"),
        ("Doe", "Doe"),
        ("<b>Doe</b>^", "<b>Doe</b>"),
        ("", "No name"),
        ("^^^^", "No name"),
    ],
)
def test_person_names(modules: Modules, value: str, expected: str) -> None:
    assert modules.call("person_name.js", "(m, value) => m.personName(value)", value) == expected


@pytest.mark.parametrize(
    ("age", "born", "study", "expected"),
    [
        ("045Y", "19000101", "20260101", "45 y"),
        ("006M", "", "", "6 mo"),
        ("", "19800615", "20260614", "45 y"),
        ("", "19800615", "20260615", "46 y"),
        ("forty", "", "20260615", ""),
        ("", "20270101", "20260615", ""),
    ],
)
def test_ages(modules: Modules, age: str, born: str, study: str, expected: str) -> None:
    call = "(m, patient, study) => m.age(patient, study)"

    assert modules.call("age.js", call, {"age": age, "birth_date": born}, study) == expected


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [(-5, "< 1 min"), (0.9, "< 1 min"), (1, "1 min"), (59.9, "59 min"), (65, "1 h 05 min"), (24 * 60 + 61, "1 d 1 h")],
)
def test_durations(modules: Modules, minutes: float, expected: str) -> None:
    assert modules.call("age.js", "(m, waited) => m.duration(waited)", minutes * 60_000) == expected


def test_findings_are_ordered_by_margin_and_those_without_an_operating_point_come_last(modules: Modules) -> None:
    points = {
        "A": (0.6, 0.5),
        "B": (0.3, 0.1),
        "C": (0.9, None),
        "D": (0.2, 0.4),
    }  # in logits, B is farther above its threshold than A
    findings = [{"label": name, "probability": one, "threshold": two} for name, (one, two) in points.items()]
    labels = "(m, findings) => m.ordered(findings).map((one) => one.label)"

    assert modules.call("findings.js", labels, findings) == ["B", "A", "D", "C"]


def test_findings_and_flags_as_text(modules: Modules) -> None:
    call = "(m, ...labels) => m.sentence(labels)"

    assert modules.call("findings.js", call, "Pleural_Thickening", "Mass") == "Pleural thickening, Mass"
    assert modules.call("findings.js", call) == "No finding above its operating point"
    assert modules.call("findings.js", "(m) => m.flag('window_missing')").startswith("No window in the file")
    assert modules.call("findings.js", "(m) => m.flag('paediatric')").startswith("Patient under 18")
    assert modules.call("findings.js", "(m) => m.flag('something_new')") == "Something new"


def test_labels_of_other_networks_as_text(modules: Modules) -> None:
    labels = {
        "COPD": "COPD",
        "Lung Opacity": "Lung opacity",
        "Support_Devices": "Support devices",
        "érosion": "Érosion",
    }
    expected = {"Old TB": "Old TB", "pneumonia": "Pneumonia", **labels}
    assert modules.call("findings.js", "(m, names) => names.map(m.label)", list(expected)) == list(expected.values())


def test_findings_without_a_probability_come_last(modules: Modules) -> None:
    one = {"label": "A", "probability": None, "threshold": None}
    other = {"label": "B", "probability": 0.1, "threshold": 0.9}
    call = "(m, findings) => m.ordered(findings).map((one) => one.label)"
    assert modules.call("findings.js", call, [one, other]) == ["B", "A"]


def test_an_operating_point_states_sensitivity_and_specificity(modules: Modules) -> None:
    finding = {"threshold": 0.312, "sensitivity": 0.4, "specificity": 0.951}
    call = "(m, finding) => m.operatingPoint(finding)"

    expected = "Operating point 0.31: sensitivity 0.40, specificity 0.95"
    assert modules.call("findings.js", call, finding) == expected
    assert modules.call("findings.js", call, {"threshold": None}).startswith("No operating point")


def test_a_problem_lists_all_its_reasons(modules: Modules) -> None:
    call = "(m, problem) => m.lines(new m.Problem(problem))"
    errors = [{"code": "a", "message": "first"}, {"code": "b", "message": "second"}]

    assert modules.call("problem.js", call, {"title": "T", "detail": "D", "errors": errors}) == ["T", "first", "second"]
    assert modules.call("problem.js", call, {"title": "T", "detail": "D"}) == ["T", "D"]


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_events_are_parsed_however_the_text_is_split(modules: Modules, size: int) -> None:
    text = ": listening\n\nevent: changed\ndata: {1\ndata: 2}\n\n: beat\r\n\r\ndata:x\r\n\r\nevent: unfinished\ndata: y"
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    pushed = "(m, parts) => { const parser = new m.Parser(); return parts.flatMap((part) => parser.push(part)); }"

    actual = modules.call("events.js", pushed, parts)

    assert actual == [{"event": "changed", "data": "{1\n2}"}, {"event": "message", "data": "x"}]


def test_new_radiographs_are_counted(modules: Modules) -> None:
    call = "(m, priorities) => m.arrivals(priorities)"

    assert modules.call("arrivals.js", call, ["HIGH"]) == "1 new radiograph"
    assert modules.call("arrivals.js", call, ["STAT", "ROUTINE", "STAT"]) == "3 new radiographs, 2 STAT"
