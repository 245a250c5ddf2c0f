"""Maintenance: a switch that outlives restarts."""

from __future__ import annotations

from pathlib import Path


class Maintenance:
    """On while its file is there; what is written in it is the time that it takes."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def period(self) -> str | None:
        """The time it takes, empty if nobody said; None when there is no maintenance."""
        try:
            return self._file.read_text(encoding="utf-8").strip()
        except OSError:
            return None

    def begin(self, period: str) -> None:
        """Customers are told of it from now on; `period` such as `22:00~24:00` with it."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(period, encoding="utf-8")

    def end(self) -> None:
        """Customers are answered again."""
        self._file.unlink(missing_ok=True)
