"""The company's clock: part of the day, opening hours, Korean public holidays."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from brain.errors import ConfigError
from brain.messages import Daypart

DAYS: Final = ("weekdays", "saturday", "sunday")
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d) ?[-~] ?(?:([01]\d|2[0-3]):([0-5]\d)|24:00)")
_NEVER_FURTHER: Final = timedelta(days=60)

Hours = tuple[time, time]
"""Opening and closing; a closing of 00:00 is the end of the day."""


class CompanyClock:
    """What time it is for the company, whatever zone the server or the customer is in.

    Every `now` is an aware datetime. On public holidays (substitutes and lunar ones included) and
    on its own closed days the company is closed all day.
    """

    def __init__(
        self, timezone: str, hours: Mapping[str, Any], closed: Collection[date] = ()
    ) -> None:
        """Read `hours` as company.yaml has them: weekdays, saturday, sunday, closed (dates).

        `closed` adds dates to those in `hours`. A day that is not named is closed; without any
        hours at all the weekdays are 09:00-18:00. Raises ConfigError naming the key.
        """
        try:
            self._zone = ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ConfigError(
                f"company.timezone: unknown time zone {timezone!r}; write e.g. Asia/Seoul"
            ) from error
        if unknown := sorted(set(map(str, hours)) - {*DAYS, "closed"}):
            raise ConfigError(
                f"hours.{unknown[0]}: unknown key; known are {', '.join(DAYS)}, closed"
            )
        written = {day: hours[day] for day in DAYS if day in hours} or {"weekdays": "09:00-18:00"}
        self._hours = {day: _parsed_hours(day, text) for day, text in written.items()}
        self._closed = frozenset(closed) | _parsed_dates(hours.get("closed"))
        self._holidays: dict[int, dict[date, str]] = {}

    def local(self, now: datetime) -> datetime:
        """`now` in the company's zone."""
        return now.astimezone(self._zone)

    def daypart(self, now: datetime) -> Daypart:
        """morning 06:00-09:00, business until 18:00, evening until 22:00, night until 06:00."""
        hour = self.local(now).hour
        if hour < 6 or hour >= 22:
            return "night"
        if hour < 9:
            return "morning"
        return "business" if hour < 18 else "evening"

    def is_open(self, now: datetime) -> bool:
        """Whether people are at work."""
        local = self.local(now)
        hours = self._hours_of(local.date())
        if not hours:
            return False
        opens, closes = hours
        at = local.time()
        return opens <= at and (at < closes or closes == time.min)

    def next_opening(self, now: datetime) -> datetime | None:
        """When people are next at work, in the company's zone: `now` if they are, None if not within two months."""
        local = self.local(now)
        if self.is_open(now):
            return local
        day = local.date()
        while day - local.date() < _NEVER_FURTHER:
            hours = self._hours_of(day)
            if hours:
                opening = datetime.combine(day, hours[0], self._zone)
                if opening > local:
                    return opening
            day += timedelta(days=1)
        return None

    def holiday(self, day: date) -> str:
        """The Korean name of the public holiday on `day`, empty if it is none."""
        names = self._holidays.get(day.year)
        if names is None:
            from holidays import country_holidays  # a third of a second, so not before it is needed

            names = dict(country_holidays("KR", years=day.year, language="ko"))
            self._holidays[day.year] = names
        return names.get(day, "")

    def _hours_of(self, day: date) -> Hours | None:
        name = {5: "saturday", 6: "sunday"}.get(day.weekday(), "weekdays")
        hours = self._hours.get(name)
        if hours is None or day in self._closed or self.holiday(day):
            return None
        return hours


def _parsed_hours(day: str, text: object) -> Hours | None:
    if text is None or text is False or text == "closed":
        return None
    match = _HOURS.fullmatch(text) if isinstance(text, str) else None
    if not match:
        raise ConfigError(f'hours.{day}: {text!r} is neither "HH:MM-HH:MM" (24 hours) nor closed')
    opens = time(int(match[1]), int(match[2]))
    closes = time(int(match[3]), int(match[4])) if match[3] else time.min
    if closes != time.min and closes <= opens:
        raise ConfigError(f"hours.{day}: {text!r} closes before it opens")
    return opens, closes


def _parsed_dates(written: object) -> frozenset[date]:
    if written is None:
        return frozenset()
    if not isinstance(written, (list, tuple, set, frozenset)):
        raise ConfigError(f"hours.closed: {written!r} is no list of dates such as [2026-05-01]")
    days = set()
    for item in written:
        try:
            day = item if type(item) is date else date.fromisoformat(str(item))
        except ValueError as error:
            raise ConfigError(
                f"hours.closed: {item!r} is no date; write YYYY-MM-DD, e.g. 2026-05-01"
            ) from error
        days.add(day)
    return frozenset(days)
