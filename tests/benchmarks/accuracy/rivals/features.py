"""LightGBM's features as a good practitioner makes them: one row per series, origin and day ahead; numpy only.

Everything is known on the eve of the origin: sales and historic covariates before it, plans up to its horizon. Sales
stand on a log scale relative to the series' own level of the last eight weeks, so that one tree serves all stores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVEL_DAYS = 56
ROLLING = (7, 14, 28, 112, 224)
CELL_DAYS = (28, 56, 112, 364)
NEIGHBOURS = (-3, -2, -1, 1, 2, 3)
YEAR = 364
DAYS_NEEDED = YEAR + LEVEL_DAYS
LONGEST = 60
Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class History:
    """Series [S, T] with the running sums that every window's mean is taken from."""

    y: Floats
    seen: Floats
    plan: Floats
    stat: Ints
    first_day: int
    promoted: Ints
    sums: dict[str, tuple[Floats, Floats]]
    since: Floats
    until: Floats
    yearly: bool

    @classmethod
    def of(
        cls,
        y: Floats,
        seen: Floats,
        hist: Floats,
        plan: Floats,
        stat: Ints,
        first_day: int,
        promoted: Ints,
        yearly: bool,
    ) -> History:
        """Lay the running sums out.

        Args:
            y: Sales, [S, T]; 0 in days that are not known yet.
            seen: 1 on observed, open days.
            hist: Historic covariates, [S, T, Ch].
            plan: Future-known covariates, [S, T, Cf].
            stat: Codes of static covariates, [S, Cs].
            first_day: Days from 1970 to the first one.
            promoted: 1 on days of promotion, [S, T].
            yearly: Whether training saw the time of year that it forecasts; trees cannot go beyond a month they saw.
        """
        z = np.log1p(y) * seen
        weekday = _weekday(np.arange(y.shape[1]) + first_day)
        kind = 2 * weekday + promoted
        cells = [seen * (kind == k) for k in range(14)]
        promo = [sum(cells[p::2]) for p in (0, 1)]
        amounts = [np.log1p(np.maximum(hist[:, :, k], 0)) for k in range(hist.shape[2])]
        sums = {
            "all": _running([z], [seen]),
            "promotion": _running([z * m for m in promo], promo),
            "cell": _running([z * m for m in cells], cells),
            "hist": _running([a * seen for a in amounts], [seen] * len(amounts)),
        }
        on = plan > 0
        return cls(y, seen, plan, stat, first_day, promoted, sums, _since(on), _since(on[:, ::-1])[:, ::-1], yearly)


def features(history: History, series: Ints, day: Ints, origin: Ints, horizon: int) -> tuple[Floats, Floats, list[str]]:
    """Return float32 [N, F], the level of each row (log scale), and the features' names."""
    level = _level(history, series, origin)
    columns = {"series": series, "ahead": day - origin, "level": level}
    columns |= _means(history, series, day, origin, level)
    columns |= _lags(history, series, day, origin, level)
    columns |= _plans(history, series, day, origin + horizon)
    columns |= _calendar(history, day)
    columns |= {f"stat{k}": history.stat[series, k] for k in range(history.stat.shape[1])}
    rows = np.empty((len(series), len(columns)), np.float32)
    for k, values in enumerate(columns.values()):
        rows[:, k] = values
    return rows, level, list(columns)


def categorical(names: list[str]) -> list[int]:
    """Which features are codes rather than amounts."""
    return [k for k, name in enumerate(names) if name == "series" or name.startswith("stat")]


def _level(history: History, series: Ints, origin: Ints) -> Floats:
    recent = _mean(history, "all", series, origin - LEVEL_DAYS, origin)
    ever = _mean(history, "all", series, origin - DAYS_NEEDED, origin)
    return np.nan_to_num(np.where(np.isnan(recent), ever, recent))


def _means(history: History, series: Ints, day: Ints, origin: Ints, level: Floats) -> dict[str, Floats]:
    """Means of late: overall, with and without promotion, of the same weekday with the same and the other promotion."""
    found = {f"mean{n}": _mean(history, "all", series, origin - n, origin) - level for n in ROLLING}
    for p in (0, 1):
        for n in CELL_DAYS[:3]:
            found[f"promo{p}_{n}"] = _mean(history, "promotion", series, origin - n, origin, p) - level
    cell = 2 * _weekday(day + history.first_day) + history.promoted[series, day]
    for n in CELL_DAYS:
        found[f"same_weekday_{n}"] = _mean(history, "cell", series, origin - n, origin, cell) - level
        found[f"other_weekday_{n}"] = _mean(history, "cell", series, origin - n, origin, cell ^ 1) - level
    for k in range(len(history.sums["hist"][0])):
        found[f"hist{k}_28"] = _mean(history, "hist", series, origin - 28, origin, k)
    last_year = _mean(history, "all", series, origin - YEAR - 14, origin - YEAR + 14)
    found["year_ago"] = _mean(history, "all", series, day - YEAR - 3, np.minimum(day - YEAR + 4, origin)) - last_year
    return found


def _lags(history: History, series: Ints, day: Ints, origin: Ints, level: Floats) -> dict[str, Floats]:
    """The last days of the same weekday before the origin, with their promotions, and the day a year before."""
    found: dict[str, Floats] = {}
    latest = day - 7 * ((day - origin) // 7 + 1)
    for name, then in (*((f"lag{k}", latest - 7 * k) for k in range(4)), ("lag_year", day - YEAR)):
        at = np.maximum(then, 0)
        known = (then >= 0) & (then < origin) & (history.seen[series, at] > 0)
        found[name] = np.where(known, np.log1p(history.y[series, at]) - level, np.nan)
        found[f"{name}_promoted"] = np.where(known, history.promoted[series, at], np.nan)
    return found


def _plans(history: History, series: Ints, day: Ints, end: Ints) -> dict[str, Floats]:
    """What is planned on the day and around it, and how far the nearest such day lies; never beyond the horizon."""
    found: dict[str, Floats] = {"promoted": history.promoted[series, day]}
    last = history.plan.shape[1] - 1
    for k in range(history.plan.shape[2]):
        found[f"plan{k}"] = history.plan[series, day, k]
        for step in NEIGHBOURS:
            at = np.clip(day + step, 0, last)
            known = (day + step >= 0) & (day + step < end)
            found[f"plan{k}{step:+d}"] = np.where(known, history.plan[series, at, k], np.nan)
        found[f"since{k}"] = np.minimum(history.since[series, day, k], LONGEST)
        found[f"until{k}"] = np.minimum(history.until[series, day, k], end - day)
    return found


def _calendar(history: History, day: Ints) -> dict[str, Floats]:
    dates = (day + history.first_day).astype("datetime64[D]")
    months, years = dates.astype("datetime64[M]"), dates.astype("datetime64[Y]")
    found = {"weekday": _weekday(day + history.first_day), "day_of_month": (dates - months).astype(np.int64)}
    if history.yearly:
        found |= {"month": months.astype(np.int64) % 12, "day_of_year": (dates - years).astype(np.int64)}
    return found


def _mean(history: History, key: str, series: Ints, first: Ints, end: Ints, kind: int | Ints = 0) -> Floats:
    """Mean over the days of a kind from ``first`` up to ``end``; NaN where none was seen."""
    total, count = history.sums[key]
    low, high = np.maximum(first, 0), np.maximum(end, 0)
    seen = count[kind, series, high] - count[kind, series, low]
    with np.errstate(all="ignore"):
        return np.where(seen > 0, (total[kind, series, high] - total[kind, series, low]) / seen, np.nan)


def _running(values: list[Floats], seen: list[Floats]) -> tuple[Floats, Floats]:
    """Sums up to each day, and how many days they hold: [K, S, T + 1] each."""
    found = []
    for layers, kind in ((values, np.float64), (seen, np.int32)):
        stacked = np.zeros((len(layers), *seen[0].shape[:1], seen[0].shape[1] + 1) if layers else (0, 1, 1), kind)
        for layer, into in zip(layers, stacked, strict=True):
            np.cumsum(layer, axis=1, dtype=kind, out=into[:, 1:])
        found.append(stacked)
    return found[0], found[1]


def _since(on: NDArray[np.bool_]) -> Floats:
    """Days since the covariate was last above 0, [S, T, C]."""
    days = np.arange(on.shape[1])[None, :, None]
    return (days - np.maximum.accumulate(np.where(on, days, -LONGEST), axis=1)).astype(np.float32)


def _weekday(days: Ints) -> Ints:
    return (days + 3) % 7  # 1970-01-01 was a Thursday; Monday is 0
