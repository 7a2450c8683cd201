import pytest

from tests.service.web.chromium import Modules


@pytest.mark.parametrize(
    ("value", "wanted"),
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
def test_person_names(modules: Modules, value: str, wanted: str) -> None:
    assert modules.call("person_name.js", "(m, value) => m.personName(value)", value) == wanted


@pytest.mark.parametrize(
    ("age", "born", "study", "wanted"),
    [
        ("045Y", "19000101", "20260101", "45 y"),
        ("006M", "", "", "6 mo"),
        ("", "19800615", "20260614", "45 y"),
        ("", "19800615", "20260615", "46 y"),
        ("forty", "", "20260615", ""),
        ("", "20270101", "20260615", ""),
    ],
)
def test_ages(modules: Modules, age: str, born: str, study: str, wanted: str) -> None:
    told = "(m, patient, study) => m.age(patient, study)"

    assert modules.call("age.js", told, {"age": age, "birth_date": born}, study) == wanted


@pytest.mark.parametrize(
    ("minutes", "wanted"),
    [(-5, "< 1 min"), (0.9, "< 1 min"), (1, "1 min"), (59.9, "59 min"), (65, "1 h 05 min"), (24 * 60 + 61, "1 d 1 h")],
)
def test_waiting(modules: Modules, minutes: float, wanted: str) -> None:
    assert modules.call("age.js", "(m, waited) => m.duration(waited)", minutes * 60_000) == wanted


def test_findings_in_the_order_of_their_margin_and_those_without_a_point_last(modules: Modules) -> None:
    points = {"A": (0.6, 0.5), "B": (0.3, 0.1), "C": (0.9, None), "D": (0.2, 0.4)}  # B: 0.3 over 0.1 is more than A's
    findings = [{"label": name, "probability": one, "threshold": two} for name, (one, two) in points.items()]
    labels = "(m, findings) => m.ordered(findings).map((one) => one.label)"

    assert modules.call("findings.js", labels, findings) == ["B", "A", "D", "C"]


def test_findings_in_words(modules: Modules) -> None:
    told = "(m, ...labels) => m.sentence(labels)"

    assert modules.call("findings.js", told, "Pleural_Thickening", "Mass") == "Pleural thickening, Mass"
    assert modules.call("findings.js", told) == "No finding above its operating point"
    assert modules.call("findings.js", "(m) => m.flag('window_missing')").startswith("No window in the file")
    assert modules.call("findings.js", "(m) => m.flag('something_new')") == "Something new"


def test_an_operating_point_says_what_it_is_worth(modules: Modules) -> None:
    finding = {"threshold": 0.312, "sensitivity": 0.4, "specificity": 0.951}
    told = "(m, finding) => m.operatingPoint(finding)"

    wanted = "Operating point 0.31: sensitivity 0.40, specificity 0.95"
    assert modules.call("findings.js", told, finding) == wanted
    assert modules.call("findings.js", told, {"threshold": None}).startswith("No operating point")


def test_a_problem_says_all_its_reasons(modules: Modules) -> None:
    told = "(m, problem) => m.lines(new m.Problem(problem))"
    errors = [{"code": "a", "message": "first"}, {"code": "b", "message": "second"}]

    assert modules.call("problem.js", told, {"title": "T", "detail": "D", "errors": errors}) == ["T", "first", "second"]
    assert modules.call("problem.js", told, {"title": "T", "detail": "D"}) == ["T", "D"]


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_events_come_whole_however_they_are_cut(modules: Modules, size: int) -> None:
    text = ": listening\n\nevent: changed\ndata: {1\ndata: 2}\n\n: beat\r\n\r\ndata:x\r\n\r\nevent: unfinished\ndata: y"
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    pushed = "(m, parts) => { const parser = new m.Parser(); return parts.flatMap((part) => parser.push(part)); }"

    found = modules.call("events.js", pushed, parts)

    assert found == [{"event": "changed", "data": "{1\n2}"}, {"event": "message", "data": "x"}]


def test_arrivals(modules: Modules) -> None:
    told = "(m, priorities) => m.arrivals(priorities)"

    assert modules.call("worklist.js", told, ["HIGH"]) == "1 new radiograph"
    assert modules.call("worklist.js", told, ["STAT", "ROUTINE", "STAT"]) == "3 new radiographs, 2 STAT"
