"""A package's predict.py and the agent's nightly job make of a table what the trainer makes of the panel."""

import csv
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from panels import GERMAN, sales, split_of

from device_agents import night_table
from nas.architecture import Architecture
from nas.data.windows import evaluation
from nas.export import predict
from nas.export.calendar import calendar
from nas.export.sweep import store_table
from nas.export.tables import Tables, as_csv

WINDOWS = {"hourly": 336, "daily": 56, "weekly": 26}


@pytest.fixture(params=["hourly", "daily", "weekly"])
def frequency(request):
    return request.param


def written(folder, name, header, rows):
    path = folder / f"{name}.csv"
    path.write_bytes(as_csv(header, rows))
    return str(path)


@pytest.fixture
def store(frequency, tmp_path):
    """Tables of all series on the eve of the last test forecast, and the recipe."""
    panel = sales(frequency)
    split, tables, window = split_of(panel), Tables(panel, GERMAN), WINDOWS[frequency]
    origin = split.test_origins[-1]
    history = [row for s in range(3) for row in tables.history(s, range(max(0, origin - window), origin))]
    plans = [row for s in range(3) for row in tables.plans(s, range(origin, origin + split.horizon))]
    recipe = json.loads(json.dumps({**tables.reading(split, window), **calendar(panel, GERMAN)}))
    return SimpleNamespace(
        panel=panel,
        split=split,
        recipe=recipe,
        folder=tmp_path,
        history=history,
        plans=plans,
        header=tables.history_header,
        ahead=tables.plans_header,
        windows=evaluation(panel, (origin,), window, split.horizon),
    )


def arrays_of(store, history=None, plans=None, ahead=None):
    """What predict.py gives its model, and what it says of each step."""
    recipe, needed = store.recipe, ["unique_id", "ds", "y"]
    past = written(store.folder, "history", store.header, store.history if history is None else history)
    rows = store.plans if plans is None else plans
    future = written(store.folder, "future", ahead or store.ahead, rows) if rows else None
    planned = predict.read(future, ["unique_id", "ds"], recipe) if future else {}
    return predict.inputs(predict.read(past, needed, recipe), planned, recipe, (past, future))


def test_its_inputs_are_those_of_the_panel(store):
    arrays, names, hours, planned, missing = arrays_of(store)
    assert names == list(store.panel.ids) and planned.all() and not missing.steps
    for name, expected in store.windows.inputs().items():
        np.testing.assert_array_equal(arrays[name], expected, err_msg=name)
    np.testing.assert_array_equal(hours, store.windows.future_time)


def test_the_nightly_job_makes_the_same_inputs_of_one_table(store, frequency, tmp_path):
    table, recipe = store_table(
        sales(frequency, stores=("all",)), store.split, Architecture(window=WINDOWS[frequency]), GERMAN
    )
    (tmp_path / "table").write_bytes(table)
    (tmp_path / "recipe").write_text(json.dumps(recipe))
    read = night_table.read_recipe(str(tmp_path / "recipe"))
    night = night_table.features(*night_table.read_table(str(tmp_path / "table"), read), read)
    for name, expected in store.windows.inputs().items():
        if name != "static":  # this store has all series
            np.testing.assert_array_equal(night.arrays[name], expected, err_msg=name)
    assert night.planned.all()
