import pytest

from service.errors import Conflict, InvalidRequest, NotFound
from service.storage import opinions as module
from service.storage.opinions import Opinions, current
from service.storage.records import Records
from tests.service.records import finding
from tests.service.storage.conftest import Make


@pytest.fixture
def opinions(records: Records) -> Opinions:
    return Opinions(records.database)


@pytest.fixture
def id(records: Records, make: Make) -> str:
    return records.save(make(findings=(finding("Mass", positive=True), finding("Hernia", positive=None)))).id


def given(opinions: Opinions, id: str) -> list[tuple[str, str | None, str]]:
    return [(opinion.label, opinion.verdict, opinion.reader) for opinion in current(opinions.history(id))]


def test_an_opinion_is_replaced_and_withdrawn_and_the_earlier_ones_stay(opinions: Opinions, id: str) -> None:
    opinions.give(id, "Mass", "agree", "AB")
    opinions.give(id, "Mass", "agree", "AB")
    opinions.give(id, "Mass", "disagree", "CD")
    opinions.give(id, "Mass", "disagree", "AB")
    assert given(opinions, id) == [("Mass", "disagree", "AB"), ("Mass", "disagree", "CD")]

    history = opinions.give(id, "Mass", None, "AB")

    assert given(opinions, id) == [("Mass", "disagree", "CD")]
    assert [(opinion.verdict, opinion.reader) for opinion in history] == [
        *(("agree", "AB"), ("disagree", "CD"), ("disagree", "AB"), (None, "AB"))
    ]
    assert [opinion.at for opinion in history] == sorted(opinion.at for opinion in history)


def test_the_number_of_opinions_is_limited_and_the_last_can_be_withdrawn(
    opinions: Opinions, id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_KEPT", 2)
    opinions.give(id, "Mass", "agree", "AB")
    opinions.give(id, "Mass", "disagree", "AB")

    with pytest.raises(Conflict) as many:
        opinions.give(id, "Mass", "agree", "CD")
    assert many.value.code == "too_many_opinions"
    assert given(opinions, id) == [("Mass", "disagree", "AB")]

    assert len(opinions.give(id, "Mass", None, "AB")) == 3
    assert given(opinions, id) == []


def test_to_withdraw_nothing_changes_nothing(opinions: Opinions, id: str) -> None:
    assert opinions.give(id, "Hernia", None, "AB") == ()


def test_an_opinion_needs_a_record_a_finding_and_a_reader(opinions: Opinions, id: str) -> None:
    with pytest.raises(NotFound) as caught:
        opinions.give(id, "Nodule", "agree", "AB")
    assert caught.value.code == "unknown_finding"
    with pytest.raises(InvalidRequest) as unnamed:
        opinions.give(id, "Mass", "agree", "")
    assert unnamed.value.code == "reader_missing"
    for method in (opinions.history, lambda id: opinions.give(id, "Mass", "agree", "AB")):
        with pytest.raises(NotFound):
            method("0" * 32)


def test_opinions_are_deleted_with_their_record(opinions: Opinions, records: Records, id: str) -> None:
    opinions.give(id, "Mass", "agree", "AB")

    records.delete(id)

    with pytest.raises(NotFound):
        opinions.history(id)
    with records.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM opinions").scalar() == 0
