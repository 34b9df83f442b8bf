#!/usr/bin/env python3
"""Forecast sales with this package: needs Python 3.8+, numpy and onnxruntime, and nothing else.

    python3 predict.py --history history.csv --future future.csv > forecast.csv

history.csv: unique_id, ds, y, and the historic, planned and static columns named in architecture.json, one row per
series and step; the newest step of each series is the last one known. An optional column for stock or availability
says with 0 that sales were censored. ds is YYYY-MM-DD, of hourly series YYYY-MM-DD HH:00 by the store's own clock.
future.csv: unique_id, ds and what is planned for the steps ahead. What it lacks is taken as usual, is said on stderr,
and is marked by a 0 in the column `planned` of the forecast. A series that has no history yet may stand in it alone.
"""

import argparse
import csv
import datetime
import functools
import json
import math
import os
import sys
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # from 1.29 on onnxruntime reports to its maker otherwise

import numpy as np
import onnxruntime

HERE = Path(__file__).resolve().parent
HOUR = datetime.timedelta(hours=1)
EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 clocks here are the store's own, without a zone
LARGEST = 3.4e38
"""A larger number is none in 32 bits, as the model has them."""
NUMBER, AGAIN = 0, 1
"""What is noted in a row beside its columns, whose names are texts."""
WEEKDAYS = ("Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday")  # 1970 began on the first


class Wrong(Exception):
    """What the user gave cannot be used; the message says what to do."""


class Missing:
    """Which planned columns were not given for which steps ahead, and which names training did not know."""

    def __init__(self):
        self.steps, self.strange = {}, {}

    def unknown(self):
        """One line for the user on the names."""
        lines = [f"{column} {', '.join(sorted(names)[:5])}" for column, names in sorted(self.strange.items())]
        return f"Not seen in training, so forecast like something new: {'; '.join(lines)}."

    def note(self, column, hour):
        self.steps.setdefault(column, set()).add(hour)

    def said(self, recipe):
        """One line for the user."""
        names = {"hourly": "hours", "daily": "days", "weekly": "weeks"}
        of = recipe["columns"]["open"]
        usual = {name: f"taken as {value:.3g}, as in the mean" for name, value in recipe["usual"].items()}
        usual[of] = "taken as in the last week that is known"
        unit = names[recipe["frequency"]["name"]]
        lines = [f"{name} of {len(steps)} {unit} ({usual[name]})" for name, steps in sorted(self.steps.items())]
        return f"No plan was given for {'; '.join(lines)}; these forecasts have 0 in the column planned."


@functools.lru_cache(maxsize=None)  # noqa: UP033 functools.cache is of Python 3.9
def hour_of(text, hours, phase):
    """Hours from 1970-01-01 00:00 to a step, on the store's own clock; every series has the same few."""
    moment = datetime.datetime.fromisoformat(text if hours == 1 else text[:10])
    hour = (moment - EPOCH) // HOUR if moment.tzinfo is None else None
    if hour is None or EPOCH + HOUR * hour != moment or hour % hours != phase:
        raise ValueError(text)
    return hour


@functools.lru_cache(maxsize=None)  # noqa: UP033 functools.cache is of Python 3.9
def stamp(hour):
    """An hour as calendar.json writes it."""
    return f"{EPOCH + HOUR * int(hour):%Y-%m-%dT%H}"


@functools.lru_cache(maxsize=None)  # noqa: UP033 functools.cache is of Python 3.9
def moment_of(hour, hours):
    """A step of so many hours as text, as :func:`hour_of` reads it."""
    moment = EPOCH + HOUR * int(hour)
    return str(moment if hours == 1 else moment.date())


def read(path, columns, recipe):
    """Rows of a CSV file as {series: {hour: row}}; of an hour that a clock has twice, the second is `again`."""
    hours, phase = recipe["frequency"]["hours"], recipe["frequency"]["phase"]
    form = "YYYY-MM-DD" if hours % 24 == 0 else "YYYY-MM-DD HH:00 by the store's own clock, without a zone"
    form += f", a {WEEKDAYS[phase // 24]} as in training" if hours > 24 else ""
    twice = set((recipe["clock"] or {}).get("repeated", ()))
    found = {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            missing = [name for name in columns if name not in (rows.fieldnames or ())]
            if missing:
                expected = "separated by commas" if len(rows.fieldnames or ()) == 1 else "as training named them"
                raise Wrong(f"{path} has no column {', '.join(missing)}; expected {', '.join(columns)}, {expected}.")
            for number, row in enumerate(rows, start=2):
                if None in row or None in row.values() or not row["unique_id"].strip():
                    raise Wrong(f"{path}, row {number}: it has no unique_id, or not as many cells as the heading.")
                try:
                    hour = hour_of(row["ds"].strip(), hours, phase)
                except ValueError:
                    raise Wrong(f"{path}, row {number}: ds is {row['ds']!r}, expected {form}.") from None
                row[NUMBER] = number
                series = found.setdefault(row["unique_id"], {})
                first = series.setdefault(hour, row)
                if first is not row:
                    if AGAIN in first or stamp(hour) not in twice:
                        step = moment_of(hour, hours)
                        raise Wrong(f"{path}, row {number}: {row['unique_id']} has {step} twice; keep one of them.")
                    first[AGAIN] = row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "it is no CSV in UTF-8"
        raise Wrong(f"Cannot read {path}: {reason}; give a table with the columns {', '.join(columns)}.") from None
    if not found:
        raise Wrong(f"{path} has no rows; expected one per series and step.")
    return found


def number(path, row, name, available=None):
    """One value as a finite number. Of an hour twice on the clock: sales are added up, availability is the less."""
    try:
        value = float(row[name])
    except (TypeError, ValueError):
        value = math.nan
    if not abs(value) <= LARGEST or (name == "y" and value < 0):
        raise Wrong(f"{path}, row {row[NUMBER]}: {name} is {row[name]!r}, expected a number (y: 0 or more).")
    if AGAIN not in row:
        return value
    both = [value, number(path, row[AGAIN], name)]
    return sum(both) if name == "y" else min(both) if name == available else sum(both) / 2


def numbers(path, rows, name, available=None):
    """One column of some rows, at once where there is nothing to say about them."""
    try:
        found = np.array([row[name] for row in rows], np.float64)
    except (TypeError, ValueError):
        found = np.array([np.nan])
    if (
        (np.abs(found) <= LARGEST).all()
        and (name != "y" or (found >= 0).all())
        and not any(AGAIN in row for row in rows)
    ):
        return found
    return np.array([number(path, row, name, available) for row in rows])


def inputs(history, future, recipe, paths):
    """The model's six arrays, one row per series; names, hours ahead, whether all was planned, and what was not."""
    window, horizon, columns = recipe["window"], recipe["horizon"], recipe["columns"]
    names, newest = sorted({*history, *future}), max(max(rows) for rows in history.values())
    known, missing = 1 + len(columns["hist"]), Missing()
    past = np.zeros((len(names), window, known + len(columns["futr"])), np.float32)
    mask = np.zeros((len(names), window), np.float32)
    times = np.zeros((len(names), window + horizon), np.int64)
    ahead = np.zeros((len(names), horizon, len(columns["futr"])), np.float32)
    planned = np.ones((len(names), horizon), np.int8)
    codes = np.zeros((len(names), len(columns["stat"])), np.int64)
    for i, series in enumerate(names):
        rows, plan = history.get(series, {}), future.get(series, {})
        last = max(rows, default=newest)  # a new series starts with the others
        times[i] = last + recipe["frequency"]["hours"] * np.arange(1 - window, horizon + 1)
        fill_past(past[i], mask[i], [rows.get(hour) for hour in times[i, :window].tolist()], recipe, paths[0])
        fill_ahead(ahead[i], planned[i], (plan, rows, times[i, window:]), recipe, paths, missing)
        told = rows.get(last) or next(iter(plan.values()))
        for k, column in enumerate(columns["stat"]):
            value = told.get(column["name"])
            codes[i, k] = column["values"].index(value) + 1 if value in column["values"] else 0  # 0: not seen before
            if value and not codes[i, k]:
                missing.strange.setdefault(column["name"], set()).add(value)
    if recipe["holidays"]:
        place, days = columns["futr"].index(recipe["holidays"]["column"]), holidays(times, recipe)
        past[:, :, known + place], ahead[:, :, place] = days[:, :window], days[:, window:]
        late = times[:, window:] >= hour_of_day(recipe["holidays"]["until"]) + 24
        planned[late] = 0
        for hour in times[:, window:][late]:
            missing.note(recipe["holidays"]["column"], hour)
    arrays = {"past": past, "past_mask": mask, "past_time": times[:, :window], "future": ahead}
    arrays.update(future_time=times[:, window:], static=codes)
    return arrays, names, times[:, window:], planned, missing


def fill_past(past, mask, rows, recipe, path):
    """One series' window: what was sold and was known, and where it says something of demand."""
    columns, known = recipe["columns"], ["y", *recipe["columns"]["hist"]]
    given, available = given_of(recipe), columns["available"]
    here = np.array([t for t, row in enumerate(rows) if row is not None], np.int64)
    there = [row for row in rows if row is not None]
    for j, name in given:
        past[here, len(known) + j] = numbers(path, there, name)
    if available is not None and there and available in there[0]:
        sold = numbers(path, there, available, available) > 0
        here, there = here[sold], [row for row, said in zip(there, sold) if said]
    mask[here] = 1
    for k, name in enumerate(known):
        past[here, k] = numbers(path, there, name)


def fill_ahead(ahead, planned, of, recipe, paths, missing):
    """One series' plans, and what is usual where there are none."""
    plan, rows, hours = of
    skipped = set((recipe["clock"] or {}).get("skipped", ()))
    for j, name in given_of(recipe):
        for t, hour in enumerate(hours.tolist()):
            row = plan.get(hour, {})
            if (row.get(name) or "").strip():
                ahead[t, j] = number(paths[1], row, name)
            else:
                ahead[t, j] = assumed(name, rows, hour, recipe, paths[0])
                if stamp(hour) not in skipped:
                    planned[t] = 0
                    missing.note(name, hour)


def given_of(recipe):
    """The planned columns that stand in the tables, with their places among the model's; a holiday is computed."""
    own = (recipe["holidays"] or {}).get("column")
    return [(j, name) for j, name in enumerate(recipe["columns"]["futr"]) if name != own]


def hour_of_day(text):
    """Hours from 1970-01-01 00:00 to the beginning of a day."""
    return (datetime.datetime.fromisoformat(text) - EPOCH) // HOUR


def holidays(times, recipe):
    """1 where a step's day is a holiday, of a week any of its days; else 0."""
    dates = np.array([hour_of_day(text) for text in recipe["holidays"]["dates"]], np.int64) // 24
    days = times // 24
    each = range(recipe["frequency"]["hours"] // 24 or 1)
    return np.any([np.isin(days + k, dates) for k in each], axis=0).astype(np.float32)


def assumed(name, rows, hour, recipe, path):
    """What a planned column is taken as without a plan: open as a season before, anything else as it usually is."""
    if name == recipe["columns"]["open"] and rows:
        season, before = recipe["frequency"]["season"] * recipe["frequency"]["hours"], hour
        while before >= min(rows):
            before -= season
            if before in rows:
                return number(path, rows[before], name)
    return recipe["usual"][name]


def forecast(model, arrays, threads):
    """Run the model: [series, horizon] or [series, horizon, quantiles] in sales units."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 onnxruntime's own errors share no base class
        reason = str(error).splitlines()[0][:200]
        raise Wrong(f"Cannot load {model} ({reason}); run `sha256sum -c SHA256SUMS` here and copy it again.") from None
    wanted = {spec.name for spec in session.get_inputs()}
    return session.run(["forecast"], {name: a for name, a in arrays.items() if name in wanted})[0]


def write(file, names, hours, values, planned, recipe):
    """One row per series and step: the point forecast, the other quantiles, and whether all was planned."""
    skipped = set((recipe["clock"] or {}).get("skipped", ()))
    levels = recipe["quantiles"]
    point = levels.index(0.5)
    values = values.reshape(*hours.shape, len(levels))
    others = [q for q in range(len(levels)) if q != point]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["unique_id", "ds", "forecast", *(f"q{levels[q]:g}" for q in others), "planned"])
    for i, series in enumerate(names):
        for t, hour in enumerate(hours[i].tolist()):
            if stamp(hour) not in skipped:  # else no clock ever shows it
                numbers = [f"{values[i, t, q]:.4f}" for q in [point, *others]]
                writer.writerow([series, moment_of(hour, recipe["frequency"]["hours"]), *numbers, planned[i, t]])


def described(name):
    """One of the package's JSON files."""
    try:
        return json.loads((HERE / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Wrong(f"Cannot read {HERE / name} ({error}); mend it, or copy it from the package again.") from None


def main():
    parser = argparse.ArgumentParser(description="Forecast sales with this package; CSV on stdout.")
    parser.add_argument("--history", required=True, help="CSV with the newest steps of each series")
    parser.add_argument("--future", help="CSV with what is planned for the steps ahead; without: as usual")
    parser.add_argument("--precision", help="fp32 or int8; default: the one that was searched for")
    options = parser.parse_args()
    card = described("architecture.json")
    recipe = {**card["table"], **described("calendar.json")}
    precision = options.precision or card["architecture"]["precision"]
    if precision not in card["models"]:
        raise Wrong(f"This package has no {precision} model; expected one of {', '.join(card['models'])}.")
    columns = recipe["columns"]
    planned = [name for _, name in given_of(recipe)]
    static = [column["name"] for column in columns["stat"]]
    history = read(options.history, ["unique_id", "ds", "y", *columns["hist"], *planned, *static], recipe)
    future = read(options.future, ["unique_id", "ds"], recipe) if options.future else {}
    arrays, names, hours, whole, missing = inputs(history, future, recipe, (options.history, options.future))
    values = forecast(HERE / card["models"][precision], arrays, card["architecture"]["threads"])
    if missing.steps:
        sys.stderr.write(missing.said(recipe) + "\n")
    if missing.strange:
        sys.stderr.write(missing.unknown() + "\n")
    write(sys.stdout, names, hours, values, whole, recipe)


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(str(wrong))
    except BrokenPipeError:
        sys.exit(1)
