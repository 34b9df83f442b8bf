"""A store's table as a model's inputs: the recipe, the reading and the features of the nightly job.

The table is one CSV: ``unique_id``, ``ds``, ``y`` and the covariates; rows with a ``y`` are history, the newest of them
is the last step known of its series, and rows without a ``y`` are what is planned ahead. A *step* is an hour, a day or
a week by the store's own clock, and is counted as hours since 1970-01-01 00:00.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
from typing import Any, Callable, Dict, FrozenSet, List, NamedTuple, Optional, Tuple

from device_agents.protocol import Problem

Rows = Dict[str, Dict[int, Dict[str, Any]]]
HOUR = dt.timedelta(hours=1)
EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 # clocks here are the store's own, without a zone
MEDIAN = 0.5
AGAIN = "\0"
"""Notes in a row the second one of its hour; no column can be called so."""


class Recipe(NamedTuple):
    """How a table becomes a model's inputs: data only, from the blob ``recipe``; PROTOCOL.md describes it."""

    window: int
    horizon: int
    hours: int
    season: int
    phase: int
    quantiles: List[float]
    hist: List[str]
    futr: List[str]
    stat: List[Tuple[str, Dict[str, int]]]
    """Static columns, each with the code of every value that training knew; others have 0."""
    open: Optional[str]
    available: Optional[str]
    usual: Dict[str, float]
    holiday: Optional[str]
    holidays: List[int]
    """Days since 1970-01-01."""
    holidays_until: int
    skipped: FrozenSet[int]
    repeated: FrozenSet[int]

    @property
    def given(self) -> List[Tuple[int, str]]:
        """The planned columns that stand in the table, with their places among the model's; a holiday is computed."""
        return [(j, name) for j, name in enumerate(self.futr) if name != self.holiday]


class Night(NamedTuple):
    """All series' inputs, the hours that are forecast, and whether everything was planned for them."""

    names: List[str]
    arrays: Dict[str, Any]
    hours: Any
    planned: Any


def read_recipe(path: str) -> Recipe:
    """Read and check the recipe.

    Raises:
        Problem: ``bad_inputs``.
    """
    try:
        with open(path, encoding="utf-8") as file:
            recipe = _recipe(json.load(file))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = "The recipe of the sweep lacks or misspells %s; expected what PROTOCOL.md describes." % error
        raise Problem("bad_inputs", message) from None
    lengths = (recipe.window, recipe.horizon, recipe.hours, recipe.season)
    if not all(type(steps) is int and 1 <= steps <= 10000 for steps in lengths):
        message = "The recipe's window, horizon, hours and season are %r, %r, %r and %r; expected 1 to 10000." % lengths
        raise Problem("bad_inputs", message)
    if MEDIAN not in recipe.quantiles:
        raise Problem("bad_inputs", "The recipe's quantiles are %r; expected 0.5 among them." % recipe.quantiles)
    return recipe


def _recipe(found: Dict[str, Any]) -> Recipe:
    columns, frequency = found["columns"], found["frequency"]
    holidays, clock = found["holidays"] or {}, found["clock"] or {}
    return Recipe(
        window=found["window"],
        horizon=found["horizon"],
        hours=frequency["hours"],
        season=frequency["season"],
        phase=frequency["phase"],
        quantiles=[float(level) for level in found["quantiles"]],
        hist=list(columns["hist"]),
        futr=list(columns["futr"]),
        stat=[(column["name"], {v: i + 1 for i, v in enumerate(column["values"])}) for column in columns["stat"]],
        open=columns["open"],
        available=columns["available"],
        usual={name: float(found["usual"][name]) for name in columns["futr"]},
        holiday=holidays.get("column"),
        holidays=[_hours(day) // 24 for day in holidays.get("dates", ())],
        holidays_until=_hours(holidays["until"]) // 24 if holidays else 0,
        skipped=frozenset(_hours(text + ":00") for text in clock.get("skipped", ())),
        repeated=frozenset(_hours(text + ":00") for text in clock.get("repeated", ())),
    )


def read_table(path: str, recipe: Recipe) -> Tuple[Rows, Rows]:
    """Read the CSV: history and plans, each as series -> hour -> row.

    Raises:
        Problem: ``bad_inputs``.
    """
    given = [name for _, name in recipe.given]
    wanted = ["unique_id", "ds", "y", *recipe.hist, *given, *(name for name, _ in recipe.stat)]
    history: Rows = {}
    plans: Rows = {}
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            missing = [name for name in wanted if name not in (rows.fieldnames or ())]
            if missing:
                raise Problem(
                    "bad_inputs", "The table has no column %s; expected %s." % (missing[0], ", ".join(wanted))
                )
            for row in rows:
                hour = _step(row["ds"], recipe)
                part = (history if row["y"] else plans).setdefault(row["unique_id"], {})
                if hour in part and hour in recipe.repeated and AGAIN not in part[hour]:
                    part[hour][AGAIN] = row
                else:
                    part[hour] = row
    except (ValueError, TypeError, csv.Error) as error:
        raise Problem("bad_inputs", "The table is no CSV with dates as YYYY-MM-DD: %.200s." % error) from None
    if not history:
        raise Problem("bad_inputs", "The table has no row with a y; expected the newest steps of each series.")
    return history, plans


def features(history: Rows, plans: Rows, recipe: Recipe) -> Night:
    """Return the six arrays of the model's contract, one row per series in the order of their names.

    Raises:
        Problem: ``bad_inputs``.
    """
    import numpy as np

    window, horizon, known = recipe.window, recipe.horizon, 1 + len(recipe.hist)
    names, newest = sorted({*history, *plans}), max(max(rows) for rows in history.values())
    past = np.zeros((len(names), window, known + len(recipe.futr)), np.float32)
    mask = np.zeros((len(names), window), np.float32)
    ahead = np.zeros((len(names), horizon, len(recipe.futr)), np.float32)
    planned = np.ones((len(names), horizon), np.int8)
    times = np.zeros((len(names), window + horizon), np.int64)
    codes = np.zeros((len(names), len(recipe.stat)), np.int64)
    for i, series in enumerate(names):
        rows, plan = history.get(series, {}), plans.get(series, {})
        last = max(rows, default=newest)
        times[i] = last + recipe.hours * np.arange(1 - window, horizon + 1)
        for t, hour in enumerate(times[i, :window].tolist()):
            if hour in rows:
                mask[i, t] = _fill(past[i, t], rows[hour], recipe)
        for t, hour in enumerate(times[i, window:].tolist()):
            planned[i, t] = _plan(ahead[i, t], hour, plan.get(hour, {}), rows, recipe)
        told = rows.get(last) or next(iter(plan.values()))
        codes[i] = [values.get(told[name], 0) for name, values in recipe.stat]
    if recipe.holiday is not None:
        days = np.any([np.isin(times // 24 + k, recipe.holidays) for k in range(recipe.hours // 24 or 1)], axis=0)
        place = recipe.futr.index(recipe.holiday)
        past[:, :, known + place], ahead[:, :, place] = days[:, :window], days[:, window:]
        planned[times[:, window:] // 24 > recipe.holidays_until] = 0
    arrays = {"past": past, "past_mask": mask, "past_time": times[:, :window], "future": ahead}
    return Night(names, dict(arrays, future_time=times[:, window:], static=codes), times[:, window:], planned)


def moment(hour: int, recipe: Recipe) -> str:
    """A step as a table writes it."""
    found = EPOCH + HOUR * hour
    return str(found if recipe.hours == 1 else found.date())


def _step(text: str, recipe: Recipe) -> int:
    """Hours from 1970-01-01 00:00 to a step."""
    hour = _hours(text if recipe.hours == 1 else text[:10])
    if hour % recipe.hours != recipe.phase:
        raise ValueError("%s is no step of this recipe" % text)
    return hour


def _hours(text: str) -> int:
    """Hours from 1970-01-01 00:00 to a moment without a zone."""
    found = dt.datetime.fromisoformat(text)
    hours = (found - EPOCH) // HOUR
    if EPOCH + HOUR * hours != found:
        raise ValueError("%s is no whole hour" % text)
    return hours


def _mean(two: List[float]) -> float:
    return sum(two) / 2


def _fill(past: Any, row: Dict[str, Any], recipe: Recipe) -> bool:
    """Write one step of the past, and tell whether its sales say something of demand."""
    known = 1 + len(recipe.hist)
    for j, name in recipe.given:
        past[known + j] = _number(row, name)
    if recipe.available is not None and recipe.available in row and _number(row, recipe.available, min) <= 0:
        return False
    past[:known] = [_number(row, "y", sum), *(_number(row, name) for name in recipe.hist)]
    return True


def _plan(ahead: Any, hour: int, row: Dict[str, Any], rows: Dict[int, Dict[str, Any]], recipe: Recipe) -> bool:
    """Write one step ahead, and tell whether everything was planned for it."""
    whole = True
    for j, name in recipe.given:
        if (row.get(name) or "").strip():
            ahead[j] = _number(row, name)
        else:
            ahead[j] = _assumed(name, hour, rows, recipe)
            whole = False
    return whole


def _assumed(name: str, hour: int, rows: Dict[int, Dict[str, Any]], recipe: Recipe) -> float:
    """What a planned column is without a plan: open as a season before, anything else as it usually is."""
    while name == recipe.open and rows and hour >= min(rows):
        hour -= recipe.season * recipe.hours
        if hour in rows:
            return _number(rows[hour], name)
    return recipe.usual[name]


def _number(row: Dict[str, Any], name: str, both: Callable[[List[float]], float] = _mean) -> float:
    """One value; of an hour that the clock has twice, what ``both`` makes of the two."""
    try:
        value = float(row[name])
        return both([value, float(row[AGAIN][name])]) if AGAIN in row else value
    except (TypeError, ValueError):
        message = "The table lacks a number: %s is %.100r on %.100s; expected every one." % (name, row[name], row["ds"])
        raise Problem("bad_inputs", message) from None
