"""SQL and Python match the same values; both are compared with each other and with cases worked out by hand."""

import pytest
import sqlalchemy as sa
from hypothesis import example, given
from hypothesis import strategies as st

from service.storage.criteria import Between, Criterion, Like, OneOf

ENGINE = sa.create_engine("sqlite://")


def in_sql(criterion: Criterion, value: str) -> bool:
    with ENGINE.connect() as connection:
        return bool(connection.scalar(sa.select(criterion.sql(sa.literal(value)))))


@pytest.mark.parametrize(
    ("criterion", "value", "holds"),
    [
        (OneOf("PatientID", ("A1",)), "A1", True),
        (OneOf("PatientID", ("A1",)), "a1", False),
        (OneOf("SOPInstanceUID", ("1.2", "1.3")), "1.3", True),
        (Like("PatientName", "doe*"), "Doe^John", True),
        (Like("PatientName", "doe"), "Doe^John", False),
        (Like("PatientName", "*JOHN"), "Doe^John", True),
        (Like("PatientID", "A?1"), "AB1", True),
        (Like("PatientID", "A?1"), "A1", False),
        (Like("PatientID", "A%"), "A1", False),
        (Like("PatientID", "A_"), "A1", False),
        (Like("PatientID", "A!*"), "A!1", True),
        (Like("PatientID", "[A]*"), "A1", False),
        (Like("PatientID", "[A]*"), "[A]1", True),
        (Between("StudyDate", "20260101", "20260131"), "20260131", True),
        (Between("StudyDate", "20260101", "20260131"), "20260201", False),
        (Between("StudyDate", "20260101", ""), "20991231", True),
        (Between("StudyDate", "", "20260131"), "19000101", True),
        (Between("StudyDate", "", "20260131"), "", False),
        (Between("StudyTime", "12", "129999.999999"), "125959.999", True),
        (Between("StudyTime", "12", "129999.999999"), "130000", False),
    ],
)
def test_python_and_sql_match_as_the_standard_says(criterion: Criterion, value: str, holds: bool) -> None:
    assert criterion.holds(value) is holds
    assert in_sql(criterion, value) is holds


TEXT = st.text("aAb^*?%_![]\\'1", max_size=6)


@given(pattern=TEXT, value=TEXT)
@example(pattern="!_", value="!_")
def test_python_and_sql_match_wild_cards_alike(pattern: str, value: str) -> None:
    assert in_sql(Like("PatientName", pattern), value) is Like("PatientName", pattern).holds(value)


@given(first=st.text("019", max_size=3), last=st.text("019", max_size=3), value=st.text("019", max_size=3))
def test_python_and_sql_match_ranges_alike(first: str, last: str, value: str) -> None:
    assert in_sql(Between("StudyDate", first, last), value) is Between("StudyDate", first, last).holds(value)
