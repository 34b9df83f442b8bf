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


def of(store, name):
    """Where a planned column stands in the rows of future.csv."""
    return store.ahead.index(name)


def without(row, place):
    return [*row[:place], "", *row[place + 1 :]]


def test_without_a_plan_it_is_as_usual_and_marked(store):
    arrays, _, hours, planned, missing = arrays_of(store, plans=[])
    assert not planned.any()
    promo, holiday, opened = (arrays["future"][:, :, k] for k in range(3))
    train = store.panel.futr[:, : store.split.train_end, 0]
    open_ = store.panel.is_open[:, : train.shape[1]] & (store.panel.mask[:, : train.shape[1]] > 0)
    np.testing.assert_allclose(promo, train[open_].mean(), rtol=1e-6)
    np.testing.assert_array_equal(holiday, store.windows.future[:, :, 1])  # known from the date
    np.testing.assert_array_equal(opened, store.windows.future[:, :, 2])  # the week before was open and closed alike
    said = missing.said(store.recipe)
    assert "\n" not in said and f"promo of {hours.shape[1]} " in said and "open of" in said and "holiday" not in said


def test_a_single_missing_value_marks_its_step_only(store):
    first, promo = [0], of(store, "promo")
    plans = [without(row, promo) if i in first else row for i, row in enumerate(store.plans)]
    arrays, _, _, planned, missing = arrays_of(store, plans=plans)
    expected = np.ones_like(planned)
    expected[0, 0] = 0
    np.testing.assert_array_equal(planned, expected)
    assert list(missing.steps) == ["promo"]
    np.testing.assert_array_equal(arrays["future"][0, 1:], store.windows.future[0, 1:])


def test_a_column_that_is_missing_is_missing_at_every_step(store):
    place = of(store, "open")
    plans = [row[:place] + row[place + 1 :] for row in store.plans]
    header = store.ahead[:place] + store.ahead[place + 1 :]
    arrays, _, _, planned, missing = arrays_of(store, plans=plans, ahead=header)
    assert not planned.any() and list(missing.steps) == ["open"]
    np.testing.assert_array_equal(arrays["future"], store.windows.future)


def test_the_nightly_job_takes_the_same_for_missing_plans(store, tmp_path):
    header = [*store.header]
    promo = header.index("promo")
    rows = [*store.history]
    for series, ds, *values in store.plans:
        blank = dict(zip(store.ahead, [series, ds, *values], strict=True)) | {"y": "", "promo": ""}
        rows.append([blank.get(name, "") for name in header])
    assert all(row[promo] == "" for row in rows[len(store.history) :])
    (tmp_path / "recipe").write_text(json.dumps(store.recipe))
    read = night_table.read_recipe(str(tmp_path / "recipe"))
    table = written(tmp_path, "table", header, rows)
    night = night_table.features(*night_table.read_table(table, read), read)
    plans = [without(row, of(store, "promo")) for row in store.plans]
    arrays, _, hours, planned, _ = arrays_of(store, plans=plans)
    for name, expected in arrays.items():
        np.testing.assert_array_equal(night.arrays[name], expected, err_msg=name)
    np.testing.assert_array_equal(night.hours, hours)
    np.testing.assert_array_equal(night.planned, planned)


def test_steps_after_the_last_holiday_that_is_known_are_marked(store):
    store.recipe["holidays"]["until"] = "2023-01-02"
    _, _, _, planned, missing = arrays_of(store)
    assert not planned.any() and list(missing.steps) == ["holiday"]


def test_names_that_training_did_not_know_are_coded_0(store):
    place = store.header.index("article")
    history = [[*row[:place], "coffee", *row[place + 1 :]] if row[0] == "article-01" else row for row in store.history]
    arrays, _, _, _, missing = arrays_of(store, history=history)
    assert arrays["static"][1, 1] == 0 and (arrays["static"][:, 0] > 0).all()
    assert missing.unknown() == "Not seen in training, so forecast like something new: article coffee."


@pytest.mark.parametrize("frequency", ["daily"], indirect=True)
@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("y", "1e300", "row 3: y is '1e300', expected a number"),
        ("unique_id", " ", "row 3: it has no unique_id"),
        (None, None, "row 3: .* not as many cells as the heading"),
    ],
    ids=["too large", "no name", "cut off"],
)
def test_a_row_that_cannot_be_used_is_named(store, column, value, says):
    rows = [list(row) for row in store.history]
    if column is None:
        rows[1] = rows[1][:3]
    else:
        rows[1][store.header.index(column)] = value
    with pytest.raises(predict.Wrong, match=says):
        arrays_of(store, history=rows)


@pytest.mark.parametrize("frequency", ["daily"], indirect=True)
@pytest.mark.parametrize("name", ["number", "again", "0"])
def test_a_column_may_be_called_anything(store, name):
    old = store.recipe["columns"]["futr"][0]
    expected = arrays_of(store)[0]
    text = json.dumps(store.recipe).replace(f'"{old}"', f'"{name}"')
    store.recipe = json.loads(text)
    store.header, store.ahead = (
        [name if column == old else column for column in h] for h in (store.header, store.ahead)
    )
    for key, array in arrays_of(store)[0].items():
        np.testing.assert_array_equal(array, expected[key], err_msg=key)


def test_a_file_of_the_package_that_was_broken_is_named(tmp_path, monkeypatch):
    (tmp_path / "calendar.json").write_text("{")
    monkeypatch.setattr(predict, "HERE", tmp_path)
    with pytest.raises(predict.Wrong, match=r"Cannot read .*calendar.json"):
        predict.described("calendar.json")


@pytest.mark.parametrize("days", [0, 7, 28])
def test_a_series_with_little_or_no_history_has_inputs_on_the_common_eve(store, days):
    kept = [row for row in store.history if row[0] != "article-01"]
    own = [row for row in store.history if row[0] == "article-01"]
    arrays, names, hours, planned, _ = arrays_of(store, history=kept + own[max(0, len(own) - days) :])
    assert names == list(store.panel.ids) and planned.all()
    assert arrays["past_mask"][1].sum() == min(days, len(own))
    np.testing.assert_array_equal(hours, store.windows.future_time)
    if days == 0:
        assert not arrays["static"][1].any() and not arrays["past"][1, :, :2].any()


@pytest.mark.parametrize(
    ("ds", "frequency", "says"),
    [
        ("2024-01-01 00:30", "hourly", "HH:00 by the store's own clock"),
        ("2024-01-01T00:00+01:00", "hourly", "without a zone"),
        ("01.02.2024", "daily", "expected YYYY-MM-DD"),
        ("2024-01-02", "weekly", "a Monday as in training"),
    ],
    ids=["half past", "zone", "dotted", "Tuesday"],
    indirect=["frequency"],
)
def test_a_moment_that_is_no_step_is_named(store, ds, says):
    history = [[row[0], ds, *row[2:]] if i == 1 else row for i, row in enumerate(store.history)]
    with pytest.raises(predict.Wrong, match=rf"row 3: ds is .*{says}"):
        arrays_of(store, history=history)


@pytest.mark.parametrize("frequency", ["hourly"], indirect=True)
class TestClocks:
    def autumn(self, store, *more):
        """One series around the night of 2023-10-29, when Berlin had 02:00 twice."""
        hours = [f"2023-10-29 {hour:02d}:00:00" for hour in range(6)]
        rows = [["a", ds, 10 + i, 0.5, 0, 1, 1, "north", "tea"] for i, ds in enumerate(hours)]
        return arrays_of(store, history=[*rows, *more], plans=[])

    def test_the_hour_that_is_there_twice_is_added_up(self, store):
        again = ["a", "2023-10-29 02:00:00", 5, 0.7, 0, 1, 1, "north", "tea"]
        arrays, *_ = self.autumn(store, again)
        np.testing.assert_allclose(arrays["past"][0, -4, :2], [17, 0.6])
        np.testing.assert_allclose(arrays["past"][0, -3, :2], [13, 0.5])

    def test_another_hour_twice_is_a_mistake(self, store):
        with pytest.raises(predict.Wrong, match="has 2023-10-29 03:00:00 twice"):
            self.autumn(store, ["a", "2023-10-29 03:00:00", 5, 0.5, 0, 1, 1, "north", "tea"])

    def test_the_hour_that_is_not_there_is_not_forecast(self, store):
        rows = [["a", f"2024-03-30 {hour:02d}:00:00", 10, 0.5, 0, 1, 1, "north", "tea"] for hour in range(24)]
        _, names, hours, planned, _ = arrays_of(store, history=rows, plans=[])
        out = io.StringIO()
        predict.write(out, names, hours, np.ones(hours.shape), planned, store.recipe)
        found = [row["ds"] for row in csv.DictReader(out.getvalue().splitlines())]
        assert "2024-03-31 02:00:00" not in found and len(found) == 23
        assert found[:3] == ["2024-03-31 00:00:00", "2024-03-31 01:00:00", "2024-03-31 03:00:00"]


@pytest.mark.parametrize("frequency", ["daily"], indirect=True)
def test_quantiles_are_columns_beside_the_point(store):
    recipe = {**store.recipe, "quantiles": [0.1, 0.5, 0.9]}
    out, hours = io.StringIO(), np.full((1, 2), 480_000)
    predict.write(out, ["a"], hours, np.arange(6.0).reshape(1, 2, 3), np.array([[1, 0]]), recipe)
    assert out.getvalue().splitlines() == [
        "unique_id,ds,forecast,q0.1,q0.9,planned",
        "a,2024-10-04,1.0000,0.0000,2.0000,1",
        "a,2024-10-04,4.0000,3.0000,5.0000,0",
    ]
