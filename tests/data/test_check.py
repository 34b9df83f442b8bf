import contextlib
import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from data.tables import DAYS, good
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nas.data.check import check
from nas.data.dense import to_panel
from nas.data.findings import LISTED
from nas.data.long_table import LongTable
from nas.data.profile import profile
from nas.errors import DataError


def problems(frame, **options):
    with pytest.raises(DataError) as caught:
        check(LongTable(frame, futr=("price",), stat=("region",)), **options)
    assert str(caught.value).count("\n") == 0
    return caught.value.problems


def spoilt(column, row, value):
    frame = good().astype({column: object})
    frame.loc[row, column] = value
    return frame


BROKEN = {
    "missing column": (good().drop(columns="y"), "column y is missing"),
    "unnamed column": (good().assign(extra=1), "column extra is not named under hist, futr or stat"),
    "unreadable date": (spoilt("ds", 9, "soon"), "row 11, column ds: 'soon' is not a date"),
    "impossible date": (spoilt("ds", 9, "2024-02-30"), "row 11, column ds: '2024-02-30' is not a date"),
    "absurd year": (spoilt("ds", 9, "2210-12-31"), "row 11, column ds: '2210-12-31' is not a date of 1900 to"),
    "missing date": (spoilt("ds", 9, None), "row 11, column ds"),
    "missing id": (spoilt("unique_id", 9, None), "row 11, column unique_id: the series has no name"),
    "missing y": (spoilt("y", 3, None), "row 5, column y: there is no number"),
    "NaN": (spoilt("y", 3, float("nan")), "row 5, column y: there is no number"),
    "infinite y": (spoilt("y", 3, float("inf")), "row 5, column y: 'inf' is not finite"),
    "too large for 32 bits": (spoilt("y", 3, 1e39), "row 5, column y: '1e+39' is not finite"),
    "negative y": (spoilt("y", 3, -1), "row 5, column y: '-1' is negative"),
    "a word for y": (spoilt("y", 3, "many"), "row 5, column y: 'many' is not a number"),
    "a list for y": (spoilt("y", 3, (1, 2)), "row 5, column y: '(1, 2)' is not a number"),
    "duplicate": (spoilt("ds", 9, DAYS[8]), "row 11, column ds: series 'a' has this day already in row 10"),
    "missing days": (
        good().drop(index=[3, 4, 6]),
        "row 5, column ds: series 'a' lacks 3 days, the first is 2024-03-04; add them, or choose fill: zero or",
    ),
    "every other day": (
        good().assign(ds=list(pd.date_range("2024-01-07", periods=10, freq="2D")) * 2),
        "mostly 2 days",
    ),
    "monthly": (good().assign(ds=list(pd.date_range("2024-01-01", periods=10, freq="MS")) * 2), "mostly 31 days apart"),
    "quarters of an hour": (
        good().assign(ds=list(pd.date_range("2024-01-07", periods=10, freq="15min")) * 2),
        "mostly 15 minutes apart, expected an hour, a day or a week; sum the rows up",
    ),
    "an hour among days": (
        spoilt("ds", 9, "2024-03-10 06:00"),
        "row 11, column ds: 2024-03-10 06:00 has a time of day",
    ),
    "a jump": (spoilt("ds", 0, "1901-03-01"), "row 3, column ds: 2024-03-02 comes long after 1901-03-01 in row 2"),
    "an offset": (
        spoilt("ds", 9, "2024-03-10T00:00+01:00"),
        "row 11, column ds: '2024-03-10T00:00+01:00' says its off",
    ),
    "a tab in a name": (spoilt("unique_id", slice(10, 19), "b\tb"), "is no name: it holds line breaks"),
    "covariate missing": (spoilt("price", 3, None), "row 5, column price: there is no number"),
    "covariate a word": (spoilt("price", 3, "dear"), "row 5, column price: 'dear' is not a number"),
    "static varies": (spoilt("region", 3, "east"), "row 5, column region: 'east' differs from 'north' in row 2"),
    "static missing": (spoilt("region", 3, None), "row 5, column region: there is no value"),
    "no rows": (good().iloc[:0], "the table has no rows"),
    "no columns": (pd.DataFrame(), "column unique_id is missing"),
    "twice the same column": (pd.concat([good(), good()[["y"]]], axis=1), "column y is there more than once"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_problem_is_named_with_its_row(name):
    frame, expected = BROKEN[name]
    assert any(expected in problem for problem in problems(frame)), problems(frame)


def test_all_problems_are_found_at_once():
    frame = good().assign(extra=1)
    frame.loc[[2, 15], "y"] = [-1, np.nan]
    frame.loc[9, "ds"] = "?"
    found = problems(frame.drop(columns="price"), steps_needed=lambda clock: 14 * clock.season)
    assert [problem.split(":")[0] for problem in found] == [
        "column price is missing; the table has unique_id, ds, y, region, extra",
        "column extra is not named under hist, futr or stat; name it or list it under ignore",
        "the table spans 10 days, the split needs at least 98",
        "row 4, column y",
        "row 11, column ds",
        "row 17, column y",
    ]


def test_the_first_problems_are_listed_and_the_rest_is_counted():
    frame = pd.concat([good().assign(unique_id=str(number), region="x") for number in range(100)])
    found = problems(frame.assign(y=-1.0, price=np.nan))
    assert len(found) == LISTED + 1
    assert found[0].startswith("row 2, column y")
    assert found[1].startswith("row 2, column price")
    total = 1000 + 1000 * 2 + 1000 * 2  # duplicates (a and b share ids), negative y, no price
    assert found[-1] == f"and {total - LISTED:,} more"


def test_a_series_with_static_values_that_vary_is_listed_once():
    frame = good()
    frame.loc[5:9, "region"] = "east"
    says = "row 7, column region: 'east' differs from 'north' in row 2 of the same series; keep one of the two"
    assert problems(frame) == (says,)


def test_ignored_columns_are_left_out():
    columns = check(LongTable(good(), stat=("region",), ignore=("price",)))
    assert (columns.ids, list(columns.numbers), columns.words) == (("a", "b"), [], {"region": ("north", "south")})


@pytest.mark.parametrize(
    "dates",
    [
        pd.to_datetime(DAYS),
        pd.to_datetime(DAYS).tz_localize("Asia/Tokyo"),
        [dt.date.fromisoformat(day) for day in DAYS],
        [int(day.replace("-", "")) for day in DAYS],
        [f"{day}T00:00:00" for day in DAYS],
        [f" {day} " for day in DAYS],
    ],
    ids=["datetime64", "with a zone", "date", "yyyymmdd", "midnight", "spaces"],
)
def test_dates_may_come_in_many_types(dates):
    frame = good().assign(ds=[*dates, *dates])
    assert str(to_panel(check(LongTable(frame, futr=("price",), stat=("region",)))).date(0)) == "2024-03-01"


def test_numbers_may_come_in_many_types():
    for numbers in ([str(n) for n in range(20)], [Decimal(n) for n in range(20)], pd.array(range(20), dtype="Int64")):
        columns = check(LongTable(good().assign(y=numbers), futr=("price",), stat=("region",)))
        assert columns.y.tolist() == list(range(20))


@pytest.mark.parametrize(("fill", "sales", "price"), [("zero", [0, 0], [0, 0]), ("previous", [2, 2], [7, 7])])
def test_missing_days_are_filled_only_as_asked(fill, sales, price):
    frame = good()
    frame.loc[2, "price"] = 7
    table = LongTable(frame.drop(index=[3, 4, 10, 19]), futr=("price",), stat=("region",))
    panel = to_panel(check(table, fill=fill), futr=table.futr, fill=fill)
    assert panel.mask[0].tolist() == [1] * 10
    assert panel.mask[1].tolist() == [0, *[1] * 8, 0]
    assert panel.y[0].tolist() == [0, 1, 2, *sales, 5, 6, 7, 8, 9]
    assert panel.futr[0, 3:5, 0].tolist() == price
    assert panel.y[1, [0, 9]].tolist() == [0, 0]


ANYTHING = st.sampled_from(
    [None, True, -1, 10**400, 0.5, float("nan"), float("-inf"), 1e300, "", "a", "-3", "nan", "{}", b"\xff", (1, 2), [3],
     dt.date(2024, 3, 1), dt.date(1, 1, 1), dt.datetime(2024, 3, 2, 7), pd.Timestamp("2024-03-03", tz="UTC"), pd.NaT,
     Decimal("1.5"), Decimal("NaN"), 1j, np.float32(2), np.datetime64("2024-03-04"), DAYS[4], "2024-3-5", "20240306"]
)  # fmt: skip
USUAL = {"unique_id": st.sampled_from(["a", "b"]), "ds": st.sampled_from(DAYS), "y": st.integers(0, 9)}
CELLS = {name: USUAL.get(name, st.floats(0, 1)) | ANYTHING for name in ("unique_id", "ds", "y", "h", "f", "s", "other")}


@settings(max_examples=100)
@example(
    rows=[
        dict.fromkeys(CELLS, 0.0) | {"unique_id": name, "ds": DAYS[0], "y": y} for name, y in (("a", None), ("b", 0))
    ],
    absent=set(),
    typed=False,
    fill=None,
)
@given(
    rows=st.lists(st.fixed_dictionaries(CELLS), max_size=5),
    absent=st.sets(st.sampled_from(list(CELLS)), max_size=2),
    typed=st.booleans(),
    fill=st.sampled_from([None, "zero", "previous"]),
)
def test_whatever_is_in_the_table_it_is_a_panel_or_a_data_error(rows, absent, typed, fill):
    columns = {name: [row[name] for row in rows] for name in CELLS if name not in absent}
    frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
    frame = frame.infer_objects() if typed else frame
    table = LongTable(frame, hist=("h",), futr=("f",), stat=("s",), ignore=("other",))
    found = profile(table, fill=fill).problems
    if found:
        with pytest.raises(DataError) as caught:
            check(table, fill=fill)
        assert caught.value.problems == found
    else:
        panel = to_panel(check(table, fill=fill), table.hist, table.futr, fill=fill)
        assert np.isfinite(panel.y).all()
        assert panel.mask.sum() >= pd.to_numeric(frame["y"], errors="coerce").notna().sum()  # the others are plans


@given(st.lists(ANYTHING, min_size=1, max_size=6), st.sampled_from(["unique_id", "ds", "y", "price", "region"]))
def test_one_odd_column_is_never_more_than_a_data_error(values, column):
    frame = good().iloc[: len(values)].astype({column: object})
    frame[column] = pd.Series(values, dtype=object)
    with contextlib.suppress(DataError):
        check(LongTable(frame, futr=("price",), stat=("region",)))
