"""How often a series is observed, and what follows from it: the season, the pooling, the usual lengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

FrequencyName: TypeAlias = Literal["hourly", "daily", "weekly"]


@dataclass(frozen=True, slots=True)
class Frequency:
    """One of three; every length but ``hours`` is in steps of the series.

    Attributes:
        hours: Hours from one step to the next, on the store's own clock.
        season: The cycle that a profile is taken over, the week; 1 where a step is no shorter.
        pool: Older steps that become one pooled step: a day of hours, a week of days, four weeks.
        stride: From one origin of the evaluation to the next.
        horizon: How far one forecasts, unless something else is asked for.
        held_out: Length of the validation part, and of the test part, likewise.
        year: Steps in a year.
        space: The built-in search space for such series.
    """

    name: FrequencyName
    hours: int
    season: int
    pool: int
    stride: int
    horizon: int
    held_out: int
    year: int
    space: str

    @property
    def recent(self) -> int:
        """The latest steps, which a pooled history leaves as they are."""
        return 2 * self.pool

    @property
    def unit(self) -> str:
        """What one step is called."""
        return {"hourly": "hour", "daily": "day", "weekly": "week"}[self.name]


HOURLY = Frequency("hourly", 1, 168, 24, 24, 24, 336, 8766, "lstm_hourly")
DAILY = Frequency("daily", 24, 7, 7, 7, 14, 35, 365, "lstm_compact")
WEEKLY = Frequency("weekly", 168, 1, 4, 1, 4, 12, 52, "lstm_weekly")
FREQUENCIES: dict[str, Frequency] = {frequency.name: frequency for frequency in (HOURLY, DAILY, WEEKLY)}
