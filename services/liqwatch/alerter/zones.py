"""The time zone that words tell their times in: for a picture that agrees with them. Pure."""

import re
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

# As `values.py` writes a time, but for UTC: `05:43 CET (UTC+1)`, `10:13:10 UTC+5:30`.
_TOLD = re.compile(
    r"\b\d\d:\d\d(?::\d\d)? (?P<words>(?P<letters>[^\W\d_]+ \()?UTC(?P<sign>[+-])(?P<hours>\d\d?)"
    r"(?::(?P<minutes>\d\d))?(?(letters)\)))"
)


class Zone(NamedTuple):
    """`minutes` ahead of UTC, at the time that was told: what is beside a change of the clocks stays in it."""

    words: str = "UTC"
    minutes: int = 0

    def local(self, ms: int) -> datetime:
        """The time of that zone."""
        return datetime.fromtimestamp(ms // 1000, timezone(timedelta(minutes=self.minutes)))

    def at(self, ms: int) -> str:
        """`2026-01-30 05:43:10 CET (UTC+1)`."""
        return f"{self.local(ms):%Y-%m-%d %H:%M:%S} {self.words}"

    def clock(self, ms: int) -> str:
        """`05:43 CET (UTC+1)`."""
        return f"{self.local(ms):%H:%M} {self.words}"


UTC = Zone()


def told_in(words: str) -> Zone:
    """The first zone other than UTC, which the built-in sentences are in and a template's author has not chosen."""
    found = _TOLD.search(words)
    if found is None:
        return UTC
    minutes = int(found["hours"]) * 60 + int(found["minutes"] or 0)
    return Zone(found["words"], -minutes if found["sign"] == "-" else minutes)
