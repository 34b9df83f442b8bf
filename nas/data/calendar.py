"""From times to steps: the frequency, and one row per series and step without gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data.collect import Raw
from nas.data.findings import Findings
from nas.data.long_table import LongTable
from nas.data.times import DAY, HOUR, clock_changes, stamp
from nas.frequency import DAILY, FREQUENCIES, HOURLY, WEEKLY, Frequency

SAMPLE = 1 << 20
"""So many distances between rows are enough to find the frequency."""
JUMP_DAYS = 1100
"""A longer gap inside a series is a wrong date, not missing rows."""
_UNKNOWN = "unknown frequency"
_WEEKDAYS = ("Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday")  # 1970 began on a Thursday
_SUMMED = {"hourly": "hours: sum the rows up by hour", "daily": "days: sum the rows up by day"}


@dataclass(frozen=True, eq=False, slots=True)
class Placed:
    """Rows by series and step; ``order`` sorts a :class:`Raw` so, what has no place is left out.

    Attributes:
        clock: What a step is.
        start: Minutes from 1970-01-01 00:00 to step 0, on the stores' clock.
        order: int64 [N], places in the :class:`Raw`.
        step: int32 [N], in that order.
        skipped: Steps that the clocks leave out in spring, ascending.
        twins: Places n in ``order`` whose row is the same hour as n - 1 shown again, in autumn: added to that.
    """

    clock: Frequency
    start: int
    order: NDArray[np.int64]
    step: NDArray[np.int32]
    skipped: NDArray[np.int64]
    twins: NDArray[np.int64]

    def minute(self, step: int) -> int:
        """The time of a step, in minutes."""
        return self.start + int(step) * self.clock.hours * HOUR


def place(raw: Raw, table: LongTable, fill: str | None, found: Findings) -> Placed | None:
    """Find each row's step, and everything that is wrong with the calendar; None where there is none."""
    if not len(raw.row):
        return None
    order = _sorted(raw)
    clock = FREQUENCIES[table.freq] if table.freq else _frequency(raw, order, fill, found)
    if clock is None:
        return None
    length = clock.hours * HOUR
    phase = _phase(raw.minute, clock)
    whole = (raw.minute - phase) % length == 0
    _off_steps(raw, table, clock, phase, ~whole, found)
    if not whole.all():
        order = order[whole[order]]
    if not len(order):
        return None
    start = int(raw.minute[order].min())
    step = ((raw.minute[order].astype(np.int64) - start) // length).astype(np.int32)
    skipped, repeated = _changes(clock, start, int(step.max()) + 1, table.timezone)
    placed = Placed(clock, start, order, step, np.flatnonzero(skipped), np.zeros(0, np.int64))
    return _examined(raw, table, placed, skipped, repeated, fill, found)


def _sorted(raw: Raw) -> NDArray[np.int64]:
    """Places by series, then time, then row; a file that is sorted already costs nothing."""
    key = raw.series.astype(np.int64) << 32
    key += raw.minute
    if (key[1:] >= key[:-1]).all():
        return np.arange(len(key))
    return np.argsort(key, kind="stable")


def _frequency(raw: Raw, order: NDArray[np.int64], fill: str | None, found: Findings) -> Frequency | None:
    """The median distance between a series' rows says what a step is; ``fill`` allows rows to be left out."""
    days = np.mean(raw.minute % DAY == 0) > 0.9
    first = np.arange(0, len(order) - 1, -(-len(order) // SAMPLE))
    here, after = order[first], order[first + 1]
    apart = raw.minute[after].astype(np.int64) - raw.minute[here]
    apart = apart[(raw.series[here] == raw.series[after]) & (apart > 0)]
    usual = int(np.median(apart)) if len(apart) else (DAY if days else HOUR)
    known = {HOUR: HOURLY, DAY: DAILY, 7 * DAY: WEEKLY}
    if usual in known and (days or usual == HOUR):
        return known[usual]
    guess = None
    if HOUR < usual < 28 * DAY:
        guess = HOURLY if not days else WEEKLY if usual % (7 * DAY) == 0 else DAILY
    if fill and guess:
        return guess
    remedy = "name freq, or choose fill: zero, if steps without sales are left out"
    if usual < HOUR:
        remedy = "sum the rows up by hour or by day"
    elif guess is None:
        remedy = "give weekly or daily sales: forecasts by month need no device"
    says = f"rows of a series are mostly {_span(usual)} apart, expected an hour, a day or a week"
    found.table(_UNKNOWN, f"{says}; {remedy}")
    return guess


def _span(minutes: int) -> str:
    if minutes < 2 * HOUR and minutes % HOUR:
        return f"{minutes} minutes"
    return f"{minutes / HOUR:.3g} hours" if minutes < 2 * DAY else f"{minutes / DAY:.3g} days"


def _phase(minute: NDArray[np.int32], clock: Frequency) -> int:
    """Where in its week a weekly step begins: the weekday that most rows have."""
    if clock is not WEEKLY:
        return 0
    return int(np.bincount(minute // DAY % 7).argmax()) * DAY


def _off_steps(
    raw: Raw, table: LongTable, clock: Frequency, phase: int, off: NDArray[np.bool_], found: Findings
) -> None:
    at = np.flatnonzero(off)

    def say(i: int) -> str:
        minute = int(raw.minute[i])
        if clock is WEEKLY and minute % DAY == 0:
            usual, day = _WEEKDAYS[phase // DAY], _WEEKDAYS[minute // DAY % 7]
            return f"{stamp(minute)} is a {day}, the other weeks are dated by a {usual}; date all weeks by one weekday"
        rest = _SUMMED.get(clock.name, "days: leave the time out")
        return f"{stamp(minute)} has {'minutes' if clock is HOURLY else 'a time of day'}, expected whole {rest}"

    found.rows("not " + clock.name, table.keys.ds, at, raw.row, say)


def _changes(
    clock: Frequency, start: int, steps: int, timezone: str | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    if clock is not HOURLY or timezone is None:
        return np.zeros(steps, bool), np.zeros(steps, bool)
    return clock_changes(start // HOUR, steps, timezone)


def _examined(
    raw: Raw,
    table: LongTable,
    placed: Placed,
    skipped: NDArray[np.bool_],
    repeated: NDArray[np.bool_],
    fill: str | None,
    found: Findings,
) -> Placed:
    """Duplicates, hours that are none, and gaps; the hour that is shown twice is no duplicate."""
    order, step = placed.order, placed.step
    ds = table.keys.ds
    no_hour = order[skipped[step]] if skipped.any() else order[:0]
    says = f"is an hour that the clocks of {table.timezone} skip; correct it, or the timezone"
    found.rows("skipped hour", ds, no_hour, raw.row, lambda i: f"{stamp(raw.minute[i])} {says}")

    same = raw.series[order[1:]] == raw.series[order[:-1]]
    apart = np.diff(step)
    again = np.flatnonzero(same & (apart == 0)) + 1
    twice = repeated[step[again]] & ~np.isin(again - 1, again)
    hint = _hint(placed, table)
    before = dict(zip(order[again].tolist(), order[again - 1].tolist(), strict=True)) if len(again) < SAMPLE else {}
    found.rows(
        "duplicate",
        ds,
        order[again[~twice]],
        raw.row,
        lambda i: (
            f"series {raw.ids[raw.series[i]]!r} has this {placed.clock.unit} already"
            f"{f' in row {raw.row[before[i]]}' if i in before else ''}; keep one row{hint}"
        ),
    )
    if _UNKNOWN not in found.counts:
        _gaps(raw, table, placed, same & (apart > 1), fill, found)
    return Placed(placed.clock, placed.start, order, step, placed.skipped, again[twice])


def _hint(placed: Placed, table: LongTable) -> str:
    explains = placed.clock is HOURLY and table.timezone is None
    return ", or name the stores' timezone if the clocks were changed that night" if explains else ""


def _gaps(
    raw: Raw, table: LongTable, placed: Placed, gap: NDArray[np.bool_], fill: str | None, found: Findings
) -> None:
    after = np.flatnonzero(gap) + 1
    if not len(after):
        return
    order, step, skipped = placed.order, placed.step, placed.skipped
    lacks = step[after].astype(np.int64) - step[after - 1] - 1
    lacks -= np.searchsorted(skipped, step[after]) - np.searchsorted(skipped, step[after - 1])
    after, lacks = after[lacks > 0], lacks[lacks > 0]
    unit = placed.clock.unit

    def series(n: int) -> str:
        return f"series {raw.ids[raw.series[order[n]]]!r}"

    far = lacks * placed.clock.hours > JUMP_DAYS * 24
    by_place: dict[int, Any] = {}
    for n in after[far][:SAMPLE].tolist():
        by_place[int(order[n])] = n
    found.rows(
        "jump in time",
        table.keys.ds,
        order[after[far]],
        raw.row,
        lambda i: (
            f"{stamp(raw.minute[i])} comes long after {stamp(raw.minute[order[by_place[i] - 1]])} in row "
            f"{raw.row[order[by_place[i] - 1]]}, the day before it in {series(by_place[i])}; correct the wrong date"
        ),
    )
    if fill:
        return
    after, lacks = after[~far], lacks[~far]
    _, first, which = np.unique(raw.series[order[after]], return_index=True, return_inverse=True)
    lacking = np.bincount(which, lacks).astype(np.int64) if len(after) else lacks
    first = after[first]
    at = {int(order[n]): (int(n), int(total)) for n, total in zip(first, lacking, strict=True)}
    hint = _hint(placed, table)

    def say(i: int) -> str:
        n, total = at[i]
        missing = stamp(placed.minute(int(step[n - 1]) + 1))
        return (
            f"{series(n)} lacks {total} {unit}s, the first is {missing}; add them, or choose fill: zero or "
            f"previous{hint}"
        )

    found.rows(f"series with missing {unit}s", table.keys.ds, order[first], raw.row, say)
