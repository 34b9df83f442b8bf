"""Forecasts from any tool: what is read of them, and what is wrong with a table, by row and column."""

import datetime as dt
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from nas.data.forecast_table import read_forecasts
from nas.data.load import load_panel
from nas.data.split import Split
from nas.errors import DataError
from nas.request import DataSpec


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    panel = load_panel(DataSpec(source="synthetic", series=3), tmp_path_factory.mktemp("cache"))
    return panel, Split.of(panel)


@pytest.fixture(scope="module")
def table(data):
    panel, split = data
    origins = (100, 107, *split.validation_origins, *split.test_origins)
    rows = [
        (name, panel.date(origin - 1), panel.date(origin + h), float(origin + h))
        for name in panel.ids
        for origin in origins
        for h in range(split.horizon)
    ]
    return pd.DataFrame(rows, columns=["unique_id", "cutoff", "ds", "yhat"])


@pytest.fixture
def read(data, tmp_path):
    def read(frame, until=None):
        frame.to_parquet(tmp_path / "t.parquet")
        return read_forecasts(tmp_path / "t.parquet", *data, until)

    return read


def test_every_row_stands_at_its_series_origin_and_step(read, table, data):
    panel, split = data
    found = read(table.sample(frac=1, random_state=0))  # in any order
    assert found.left_out == 0 and found.in_sample_share == 0
    np.testing.assert_array_equal(
        found.forecasts.points(panel, split.test_origins)[:3],
        np.tile(split.test_origins[0] + np.arange(split.horizon), (3, 1)),
    )
    assert list(found.forecasts.origin[:2]) == [100, 107]


def test_intervals_and_quantiles_become_levels(read, table):
    wide = table.assign(**{"yhat-lo-80": 1.0, "yhat-hi-80": 9.0, "q0.25": 4.0, "y": 0.0})
    found = read(wide).forecasts
    assert found.levels == (0.1, 0.25, 0.5, 0.9)
    assert found.at(found.series[:1], found.origin[:1])[0, 0].tolist() == [1.0, 4.0, 100.0, 9.0]


@pytest.mark.parametrize("dates", ["date", "text", "zoned"])
def test_dates_may_be_written_as_tools_write_them(read, table, dates):
    ways = {
        "date": lambda c: c.dt.date,
        "text": lambda c: c.dt.strftime("%Y-%m-%d"),
        "zoned": lambda c: c.dt.tz_localize("UTC"),
    }
    written = table.assign(cutoff=ways[dates](table.cutoff), ds=ways[dates](table.ds))
    np.testing.assert_array_equal(read(written).forecasts.values, read(table).forecasts.values)


def test_in_sample_rows_are_flagged_by_a_column_or_a_day(read, table, data):
    panel, _ = data
    flagged = table.assign(in_sample=table.cutoff <= pd.Timestamp(panel.date(99)))
    assert read(flagged).in_sample_share == 0.5
    last = panel.date(100 + 13).astype(dt.date)
    assert read(table, last).in_sample_share == 1.0  # the second origin's first days were trained on, too
    assert read(table, panel.date(106).astype(dt.date)).in_sample_share == 0.5


def test_other_series_and_later_steps_are_left_out_and_counted(read, table):
    more = pd.concat([table, table.iloc[:5].assign(unique_id="elsewhere")], ignore_index=True)
    assert read(more).left_out == 5


def spoiled(column, row, value):
    def spoil(frame):
        frame = frame.astype({column: object}) if isinstance(value, str) else frame
        frame.loc[row, column] = value
        return frame

    return spoil


BROKEN = {
    "no cutoff": (lambda f: f.drop(columns="cutoff"), "column cutoff is missing"),
    "no forecast": (lambda f: f.rename(columns={"yhat": "LGBM"}), "column LGBM is none of"),
    "cutoff is ds": (
        lambda f: f.assign(cutoff=f.cutoff.where(f.index != 3, f.ds)),
        "row 5, column cutoff: .* is not before",
    ),
    "no number": (spoiled("yhat", 4, np.nan), "row 6, column yhat: nothing is no finite number"),
    "infinite": (spoiled("yhat", 4, np.inf), "row 6, column yhat: inf is no finite number"),
    "words": (lambda f: f.assign(yhat="many"), "column yhat is (large_)?string, expected numbers"),
    "twice": (lambda f: pd.concat([f, f.iloc[7:8]], ignore_index=True), "column ds: .* already in row 9"),
    "not a date": (
        lambda f: f.assign(ds=f.ds.astype(str).where(f.index != 2, "soon")),
        "row 4, column ds: 'soon' is not a date",
    ),
    "numbers as dates": (lambda f: f.assign(ds=20240101), "column ds holds numbers"),
    "between days": (lambda f: f.assign(ds=f.ds + pd.Timedelta(hours=5)), "row 2, column ds: .* no whole days"),
    "other series": (lambda f: f.assign(unique_id="x"), "column unique_id has no series of the data"),
    "a third truth": (lambda f: f.assign(in_sample=2), "row 2, column in_sample: 2 is neither"),
    "level twice": (lambda f: f.assign(**{"q0.1": 1.0, "yhat-lo-80": 1.0}), "is the level 0.1, which another"),
    "a series lacks": (
        lambda f: f[f.unique_id != f.unique_id.iloc[0]],
        "of the validation are missing, the first of series",
    ),
    "a day lacks": (lambda f: f.drop(index=f.index[-1]), "column cutoff: 1 of .* of the test are missing"),
    "nothing early": (lambda f: f[f.cutoff > f.cutoff.unique()[1]], "no forecast ends before"),
    "lists as flags": (lambda f: f.assign(in_sample=[[1]] * len(f)), "row 2, column in_sample: .* is neither"),
    "lists as names": (lambda f: f.assign(unique_id=[["a"]] * len(f)), "column unique_id is .*list"),
    "several zones": (
        lambda f: f.assign(ds=f.ds.astype(str) + np.where(f.index % 2, "T00:00:00+01:00", "T00:00:00+02:00")),
        "column ds is .* of several zones",
    ),
    "empty": (lambda f: f.iloc[:0], "the table has no rows"),
}


@pytest.mark.parametrize(("spoil", "says"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_is_named_by_row_and_column(read, table, spoil, says):
    with pytest.raises(DataError, match="cannot teach") as refused:
        read(spoil(table.copy()))
    assert any(re.search(says, problem) for problem in refused.value.problems), refused.value.problems


def test_a_file_that_is_no_parquet_is_said_so(data, tmp_path):
    (tmp_path / "x.parquet").write_text("unique_id,ds\n")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_forecasts(tmp_path / "x.parquet", *data, None)
    with pytest.raises(DataError, match="There is no file"):
        read_forecasts(tmp_path / "y.parquet", *data, None)


def test_days_that_nobody_observed_need_no_forecast(table, data, tmp_path):
    panel, split = data
    mask = panel.mask.copy()
    mask[0, split.train_end :] = 0
    table[(table.unique_id != panel.ids[0]) | (table.cutoff < pd.Timestamp("2017-06-01"))].to_parquet(
        tmp_path / "t.parquet"
    )
    read_forecasts(tmp_path / "t.parquet", replace(panel, mask=mask), split, None)
