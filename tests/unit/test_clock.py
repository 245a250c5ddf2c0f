"""Company time on known days: parts of the day, hours, holidays, the next opening."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime

import pytest

from brain.clock import CompanyClock
from brain.errors import ConfigError

HOURS = {
    "weekdays": "09:00-18:00",
    "saturday": "10:00-13:00",
    "sunday": "closed",
    "closed": [date(2026, 5, 4)],
}
SEOUL = CompanyClock("Asia/Seoul", HOURS)


def at(text: str) -> datetime:
    """A moment in Seoul."""
    return datetime.fromisoformat(f"{text}+09:00")


@pytest.mark.parametrize(
    ("clock", "daypart"),
    [
        ("05:59", "night"),
        ("06:00", "morning"),
        ("08:59", "morning"),
        ("09:00", "business"),
        ("17:59", "business"),
        ("18:00", "evening"),
        ("21:59", "evening"),
        ("22:00", "night"),
        ("00:00", "night"),
    ],
)
def test_parts_of_the_day(clock: str, daypart: str) -> None:
    assert SEOUL.daypart(at(f"2026-11-23T{clock}")) == daypart


def test_the_company_is_where_it_is_not_where_the_server_is() -> None:
    moment = datetime(2026, 11, 23, 0, 30, tzinfo=UTC)
    assert SEOUL.daypart(moment) == "business"
    assert SEOUL.is_open(moment)
    assert CompanyClock("America/New_York", HOURS).daypart(moment) == "evening"


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-23T08:59:59", False),
        ("2026-11-23T09:00", True),
        ("2026-11-23T17:59:59", True),
        ("2026-11-23T18:00", False),
        ("2026-11-28T10:00", True),  # Saturday has hours of its own
        ("2026-11-28T13:00", False),
        ("2026-11-29T11:00", False),  # Sunday
        ("2026-05-04T11:00", False),  # the company's own day
    ],
)
def test_hours(moment: str, is_open: bool) -> None:
    assert SEOUL.is_open(at(moment)) is is_open


@pytest.mark.parametrize(
    ("day", "name"),
    [
        ("2025-01-29", "설날"),
        ("2025-03-03", "대체"),
        ("2025-10-06", "추석"),
        ("2025-10-08", "대체"),
        ("2026-02-17", "설날"),
        ("2026-03-02", "대체"),
        ("2026-05-25", "대체"),
        ("2026-09-25", "추석"),
        ("2026-10-05", "대체"),
        ("2027-02-09", "대체"),
        ("2027-09-15", "추석"),
        ("2027-10-11", "대체"),
    ],
)
def test_public_holidays(day: str, name: str) -> None:
    assert name in SEOUL.holiday(date.fromisoformat(day))
    assert not SEOUL.is_open(at(f"{day}T11:00"))


@pytest.mark.parametrize("day", ["2025-10-10", "2026-02-19", "2026-03-03", "2026-09-28"])
def test_the_day_after_is_an_ordinary_one(day: str) -> None:
    assert SEOUL.holiday(date.fromisoformat(day)) == ""
    assert SEOUL.is_open(at(f"{day}T11:00"))


@pytest.mark.parametrize(
    ("moment", "opening"),
    [
        ("2026-11-23T11:00", "2026-11-23T11:00"),
        ("2026-11-23T07:00", "2026-11-23T09:00"),
        ("2026-11-27T18:30", "2026-11-28T10:00"),
        ("2026-11-28T14:00", "2026-11-30T09:00"),
        ("2026-09-23T18:30", "2026-09-28T09:00"),  # over Chuseok and the weekend
        ("2026-12-31T23:00", "2027-01-02T10:00"),
    ],
)
def test_next_opening(moment: str, opening: str) -> None:
    assert SEOUL.next_opening(at(moment)) == at(opening)


def test_hours_are_optional_and_midnight_closes() -> None:
    assert CompanyClock("Asia/Seoul", {}).is_open(at("2026-11-23T10:00"))
    late = CompanyClock("Asia/Seoul", {"weekdays": "18:00-24:00"})
    assert late.is_open(at("2026-11-23T23:59"))
    assert not late.is_open(at("2026-11-24T00:00"))
    assert (
        CompanyClock("Asia/Seoul", {"weekdays": "closed"}).next_opening(at("2026-11-23T10:00"))
        is None
    )


@pytest.mark.parametrize(
    ("timezone", "hours", "key"),
    [
        ("Asia/Soul", {}, "company.timezone"),
        ("../etc", {}, "company.timezone"),
        ("Asia/Seoul", {"weekday": "09:00-18:00"}, "hours.weekday:"),
        ("Asia/Seoul", {"weekdays": "9-18"}, "hours.weekdays"),
        ("Asia/Seoul", {"saturday": "18:00-09:00"}, "hours.saturday"),
        ("Asia/Seoul", {"sunday": 540}, "hours.sunday"),
        ("Asia/Seoul", {"closed": "2026-05-01"}, "hours.closed"),
        ("Asia/Seoul", {"closed": ["May 1"]}, "hours.closed"),
    ],
)
def test_bad_values_name_their_key(timezone: str, hours: dict[str, object], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        CompanyClock(timezone, hours)


def test_the_calendar_is_loaded_only_when_a_day_is_asked_for() -> None:
    code = (
        "import sys; from brain.clock import CompanyClock; from datetime import datetime, UTC\n"
        "CompanyClock('Asia/Seoul', {}).daypart(datetime.now(UTC))\n"
        "sys.exit('holidays' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
