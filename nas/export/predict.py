#!/usr/bin/env python3
"""Forecast sales with this package: needs Python 3.8+, numpy and onnxruntime, and nothing else.

    python3 predict.py --history history.csv --future future.csv > forecast.csv

history.csv: unique_id, ds (YYYY-MM-DD), y, and the historic, future-known and static columns named in
architecture.json, one row per series and day; the newest day of each series is the last one known.
future.csv: unique_id, ds and the future-known columns for each day ahead; only needed if there are any.
"""

import argparse
import csv
import datetime
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # from 1.29 on onnxruntime reports to its maker otherwise

import numpy as np
import onnxruntime

HERE = Path(__file__).resolve().parent
DAY = datetime.timedelta(days=1)
EPOCH = datetime.date(1970, 1, 1)


class Wrong(Exception):
    """What the user gave cannot be used; the message says what to do."""


def read(path, columns):
    """Rows of a CSV file as {series: {day: row}}."""
    found = {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            missing = [name for name in columns if name not in (rows.fieldnames or ())]
            if missing:
                raise Wrong(f"{path} has no column {', '.join(missing)}; expected {', '.join(columns)}.")
            for number, row in enumerate(rows, start=2):
                try:
                    day = datetime.date.fromisoformat((row["ds"] or "")[:10])
                except ValueError:
                    raise Wrong(f"{path}, row {number}: ds is {row['ds']!r}, expected YYYY-MM-DD.") from None
                row["number"] = number
                series = found.setdefault(row["unique_id"], {})
                if day in series:
                    raise Wrong(f"{path}, row {number}: {row['unique_id']} has {day} twice; keep one of them.")
                series[day] = row
    except (OSError, UnicodeDecodeError) as error:
        raise Wrong(f"Cannot read {path}: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}.") from None
    if not found:
        raise Wrong(f"{path} has no rows; expected one per series and day.")
    return found


def number(path, row, name):
    """One value as a finite number."""
    try:
        value = float(row[name])
    except (TypeError, ValueError):
        value = float("nan")
    if not np.isfinite(value) or (name == "y" and value < 0):
        raise Wrong(f"{path}, row {row['number']}: {name} is {row[name]!r}, expected a number (y: 0 or more).")
    return value


def inputs(history, future, card, paths):
    """The six arrays of the model's contract, one row per series, and the days that are forecast."""
    window, horizon = card["architecture"]["window"], card["shape"]["horizon"]
    hist, futr, static = card["columns"]["hist"], card["columns"]["futr"], card["columns"]["stat"]
    names = sorted(history)
    past = np.zeros((len(names), window, 1 + len(hist) + len(futr)), np.float32)
    mask = np.zeros((len(names), window), np.float32)
    ahead = np.zeros((len(names), horizon, len(futr)), np.float32)
    times = np.zeros((len(names), window + horizon), np.int64)
    codes = np.zeros((len(names), len(static)), np.int64)
    days = []
    for i, series in enumerate(names):
        rows, last = history[series], max(history[series])
        first = last - DAY * (window - 1)
        times[i] = [((first + DAY * t) - EPOCH).days * 24 for t in range(window + horizon)]
        for t in range(window):
            row = rows.get(first + DAY * t)
            if row is not None:
                past[i, t] = [number(paths[0], row, name) for name in ["y", *hist, *futr]]
                mask[i, t] = 1
        plan = future.get(series, {}) if futr else {}
        for t in range(horizon if futr else 0):
            row = plan.get(last + DAY * (t + 1))
            if row is None:
                raise Wrong(f"{paths[1]} has no row for {series} on {last + DAY * (t + 1)}; plan all {horizon} days.")
            ahead[i, t] = [number(paths[1], row, name) for name in futr]
        for k, column in enumerate(static):
            known = column["values"]
            value = rows[last].get(column["name"])
            codes[i, k] = known.index(value) + 1 if value in known else 0  # 0: not seen in training
        days.append([last + DAY * (t + 1) for t in range(horizon)])
    arrays = {"past": past, "past_mask": mask, "past_time": times[:, :window], "future": ahead}
    return names, days, {**arrays, "future_time": times[:, window:], "static": codes}


def forecast(model, arrays, threads):
    """Run the model, [series, horizon] in sales units."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 onnxruntime's own errors share no base class
        reason = str(error).splitlines()[0][:200]
        raise Wrong(f"Cannot load {model} ({reason}); run `sha256sum -c SHA256SUMS` here and copy it again.") from None
    wanted = {spec.name for spec in session.get_inputs()}
    return session.run(["forecast"], {name: a for name, a in arrays.items() if name in wanted})[0]


def main():
    parser = argparse.ArgumentParser(description="Forecast sales with this package; CSV on stdout.")
    parser.add_argument("--history", required=True, help="CSV with the newest days of each series")
    parser.add_argument("--future", help="CSV with what is planned for the days ahead")
    parser.add_argument("--precision", help="fp32 or int8; default: the one that was searched for")
    options = parser.parse_args()
    card = json.loads((HERE / "architecture.json").read_text(encoding="utf-8"))
    precision = options.precision or card["architecture"]["precision"]
    if precision not in card["models"]:
        raise Wrong(f"This package has no {precision} model; expected one of {', '.join(card['models'])}.")
    columns = card["columns"]
    static = [column["name"] for column in columns["stat"]]
    history = read(options.history, ["unique_id", "ds", "y", *columns["hist"], *columns["futr"], *static])
    if columns["futr"] and not options.future:
        raise Wrong(f"This model needs --future with the columns unique_id, ds, {', '.join(columns['futr'])}.")
    future = read(options.future, ["unique_id", "ds", *columns["futr"]]) if columns["futr"] else {}
    names, days, arrays = inputs(history, future, card, (options.history, options.future))
    values = forecast(HERE / card["models"][precision], arrays, card["architecture"]["threads"])
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["unique_id", "ds", "forecast"])
    for series, ahead, row in zip(names, days, values):
        writer.writerows([series, day, f"{value:.4f}"] for day, value in zip(ahead, row))


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(str(wrong))
    except BrokenPipeError:
        sys.exit(1)
