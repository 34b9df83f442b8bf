"""Rossmann from files in the shape of Kaggle's, with a handful of stores whose rows are written out here."""

import pandas as pd
import pytest

from nas.data.sources import rossmann
from nas.errors import DataError
from nas.request import DataSpec

DAYS = pd.date_range("2014-01-01", "2014-12-31")


def train(store, days=DAYS):
    closed = days.day_of_week == 6
    return pd.DataFrame(
        {
            "Store": store,
            "DayOfWeek": days.day_of_week + 1,
            "Date": days,
            "Sales": 1000 * store * ~closed,
            "Customers": 100 * ~closed,
            "Open": (~closed).astype(int),
            "Promo": (days.day_of_week == 0).astype(int),
            "StateHoliday": [("a" if day.month == 12 else 0) if day.day == 25 else "0" for day in days],
            "SchoolHoliday": (days.month == 8).astype(int),
        }
    )


STORES = pd.DataFrame(
    {
        "Store": [1, 2, 3],
        "StoreType": ["a", "b", "c"],
        "Assortment": ["a", "a", "c"],
        "CompetitionDistance": [50.0, None, 9000.0],
        "CompetitionOpenSinceMonth": [1.0, None, 2.0],
        "CompetitionOpenSinceYear": [2010.0, None, 2011.0],
        "Promo2": [0, 1, 1],
        "Promo2SinceWeek": [None, 20.0, 1.0],
        "Promo2SinceYear": [None, 2014.0, 2010.0],
        "PromoInterval": [None, "Mar,Jun,Sept,Dec", "Jan,Apr,Jul,Oct"],
    }
)


@pytest.fixture(params=["csv", "parquet"])
def folder(request, tmp_path):
    """As Kaggle has it: newest days first, text and numbers mixed among the holidays."""
    days = pd.concat([train(1), train(2), train(3, DAYS.delete(100))]).sort_values("Date", ascending=False)
    if request.param == "csv":
        days.to_csv(tmp_path / "train.csv", index=False)
        STORES.to_csv(tmp_path / "store.csv", index=False)
    else:
        days.astype({"StateHoliday": str}).to_parquet(tmp_path / "train.parquet")
        STORES.to_parquet(tmp_path / "store.parquet")
    return tmp_path


def load(folder):
    return rossmann.load(DataSpec(source="rossmann", path=str(folder)), folder)


def test_only_stores_with_every_day_are_kept_in_order(folder):
    frame = load(folder).frame
    assert frame["unique_id"].unique().tolist() == ["1", "2"]  # 3 lacks a day
    assert all(days.tolist() == DAYS.tolist() for _, days in frame.groupby("unique_id")["ds"])


def test_the_columns_are_what_they_say(folder):
    table = load(folder)
    frame = table.frame[table.frame["unique_id"] == "2"].set_index("ds")
    assert table.open == "open" in table.futr
    assert (frame.loc[frame["open"] == 0, "y"] == 0).all()
    assert frame.loc["2014-01-06", ["y", "customers", "promo"]].tolist() == [2000, 100, 1]
    assert frame.index[frame["state_holiday"] == 1].strftime("%m-%d").tolist() == ["12-25"]
    assert set(frame.index[frame["school_holiday"] == 1].month) == {8}
    assert set(frame["store_type"]) == {"b"}
    assert not frame.isna().any(axis=None)


def test_a_mailing_is_active_in_its_months_from_its_first_week_on(folder):
    frame = load(folder).frame
    active = frame[frame["coupons"] == 1]
    assert set(active["unique_id"]) == {"2"}
    assert sorted(set(active["ds"].dt.month)) == [6, 9, 12]  # March was before week 20
    assert (active.groupby(active["ds"].dt.month).size() == [30, 30, 31]).all()


def test_the_nearest_competitor_is_a_fifth_of_the_stores_or_unknown(folder):
    frame = load(folder).frame
    assert frame.groupby("unique_id")["competition"].first().to_dict() == {"1": "3", "2": "unknown"}


@pytest.mark.parametrize("name", ["train", "store"])
def test_a_missing_file_says_where_to_get_it(folder, name):
    next(folder.glob(f"{name}.*")).unlink()
    with pytest.raises(DataError, match=rf"no {name}\.csv or {name}\.parquet in .*; download the data of Kaggle's"):
        load(folder)


def test_a_file_without_a_column_is_named(tmp_path):
    train(1).drop(columns="Open").to_csv(tmp_path / "train.csv", index=False)
    STORES.to_csv(tmp_path / "store.csv", index=False)
    with pytest.raises(DataError, match=r"train\.csv has no column Open"):
        load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no table", b'Store,"Date\n1,2\n'])
def test_a_file_that_is_no_table_is_one_sentence(folder, content):
    file = next(folder.glob("train.*"))
    file.write_bytes(content)
    with pytest.raises(DataError) as caught:
        load(folder)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_day_that_is_no_date_is_named_with_its_row(tmp_path):
    train(1).astype({"Date": str}).replace({"Date": {"2014-01-03": "someday"}}).to_csv(tmp_path / "train.csv")
    STORES.to_csv(tmp_path / "store.csv", index=False)
    with pytest.raises(DataError, match=r"row 4, column Date of train .*'someday' is no date"):
        load(tmp_path)
