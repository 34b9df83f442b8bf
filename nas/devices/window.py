"""The hours in which a device may be measured, in its own time: at night, say, when the store is closed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from nas.errors import RequestError

_FORM = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Window:
    """From one minute of the day to another, over midnight where the end comes first; the end is outside.

    Attributes:
        start: Minutes since midnight, 0 to 1439.
        end: Likewise, and not the same minute.
    """

    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> Window:
        """Read ``HH:MM-HH:MM``.

        Raises:
            RequestError: It is not of that form, or no time lies in it.
        """
        found = _FORM.fullmatch(text)
        hours = [int(part) for part in found.groups()] if found else [0, 0, 0, 0]
        start, end = 60 * hours[0] + hours[1], 60 * hours[2] + hours[3]
        if start == end:
            raise RequestError(f"The window {text!r} is not possible; expected two different times as in 22:00-05:00.")
        return cls(start, end)

    def contains(self, minute: int) -> bool:
        """Tell whether a minute of the day (0 to 1439) lies in the window."""
        return (minute - self.start) % 1440 < (self.end - self.start) % 1440


def closed(text: str, now: datetime, utc_offset_s: float | None) -> str | None:
    """Tell why a device may not be measured now; None if it may.

    The hour is this side's, moved to the device's zone: a board without a battery may not know it.

    Args:
        text: The device's window, empty for always.
        now: The time, with a zone.
        utc_offset_s: Seconds that the device's local time is ahead of UTC; None as long as it has not told.
    """
    if not text:
        return None
    if utc_offset_s is None:
        return f"it has not told its time zone yet, which its window {text} needs"
    local = int(now.astimezone(UTC).timestamp() + utc_offset_s) // 60 % 1440
    if Window.parse(text).contains(local):
        return None
    return f"waiting for its window {text}, there it is {local // 60:02}:{local % 60:02}"
