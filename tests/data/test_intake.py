"""Any sales table becomes the panel that it means: frequencies, clocks, closed and sold-out steps, plans, names."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from data.tables import DAYS, good
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.data import load_panel
from nas.data.check import check
from nas.data.dense import to_panel
from nas.data.long_table import LongTable
from nas.errors import DataError
from nas.frequency import HOURLY, WEEKLY
from nas.request import Columns, DataSpec

BERLIN = {"timezone": "Europe/Berlin"}
NAMED = {"futr": ("price",), "stat": ("region",)}


def panel(frame, fill=None, until=None, **options):
    table = LongTable(frame, **{**NAMED, **options})
    return to_panel(check(table, fill=fill, until=until), table.hist, table.planned, fill=fill)


def hours(first, days, zone="Europe/Berlin"):
    """The hours that really pass, as the local clock shows them with their offset."""
    return pd.date_range(first, periods=24 * days, freq="h", tz=zone)


class TestFrequency:
    def test_weeks_may_begin_on_any_one_weekday(self):
        weeks = pd.date_range("2024-01-03", periods=10, freq="7D")  # Wednesdays
        found = panel(good(weeks))
        assert (found.clock, found.steps, str(found.date(1))) == (WEEKLY, 10, "2024-01-10")

    def test_hours_are_found(self):
        found = panel(good(pd.date_range("2024-01-03 05:00", periods=50, freq="h")))
        assert (found.clock, found.steps, str(found.date(0))) == (HOURLY, 50, "2024-01-03T05")

    def test_opening_hours_may_be_filled(self):
        times = [time for time in pd.date_range("2024-01-03", periods=96, freq="h") if 8 <= time.hour < 20]
        with pytest.raises(DataError, match=r"series with missing hours.*lacks 36 hours.*fill: zero"):
            panel(good(times))
        found = panel(good(times), fill="zero")
        assert (found.steps, found.mask.all(), found.y[0, 12:24].sum()) == (84, True, 0)

    def test_sparse_weeks_are_weeks_if_that_is_said(self):
        weeks = pd.date_range("2024-01-03", periods=10, freq="14D")
        with pytest.raises(DataError, match=r"mostly 14 days apart.*name freq, or choose fill: zero"):
            panel(good(weeks))
        assert panel(good(weeks), fill="zero").clock is WEEKLY
        assert panel(good(weeks), fill="zero", freq="daily").steps == 127

    @given(st.sampled_from(["h", "D", "7D"]), st.integers(2, 40), st.integers(0, 10**4))
    @settings(max_examples=30)
    def test_the_steps_are_those_of_the_table(self, freq, count, first):
        start = pd.Timestamp("2000-01-01") + first * pd.Timedelta("1D")
        found = panel(good(pd.date_range(start, periods=count, freq=freq)))
        assert found.steps == count
        assert found.hour(0) == (start - pd.Timestamp("1970-01-01")) // pd.Timedelta("1h")
        assert found.y[1].tolist() == list(range(count, 2 * count))


class TestClocks:
    def test_the_hour_that_spring_skips_is_masked_and_no_gap(self):
        local = hours("2024-03-30", 3).tz_localize(None)
        found = panel(good(local), **BERLIN)
        assert (found.steps, np.flatnonzero(found.mask[0] == 0).tolist()) == (73, [26])
        assert found.y[:, 26].tolist() == [0, 0]
        assert panel(good(local), fill="zero", **BERLIN).mask[0, 26] == 0

    def test_the_hour_that_autumn_repeats_is_added_up(self):
        local = hours("2024-10-26", 3).tz_localize(None)
        found = panel(good(local).assign(stock=[0.0, *[5.0] * 143]), available="stock", **BERLIN)
        assert (found.steps, found.mask[0].sum()) == (71, 70)  # the last of 72 hours is 22:00
        assert found.y[0, [25, 26, 27]].tolist() == [25, 26 + 27, 28]
        prices = good(local)["price"]
        assert found.futr[0, 26, 0] == pytest.approx(prices[[26, 27]].mean())

    @pytest.mark.parametrize("written", [str, lambda time: time.tz_convert("UTC").isoformat(), lambda time: time])
    def test_times_with_an_offset_are_told_by_the_stores_clock(self, written):
        times = hours("2024-10-26", 3)
        naive = panel(good(times.tz_localize(None)), **BERLIN)
        dates = [written(time) for time in times]
        assert panel(good(dates), **BERLIN).digest == naive.digest
        assert panel(good(times.tz_convert("UTC")), **BERLIN).digest == naive.digest

    def test_a_typed_column_has_a_clock_of_its_own(self):
        assert str(panel(good(pd.to_datetime(DAYS).tz_localize("Asia/Tokyo"))).date(0)) == "2024-03-01"


class TestWhatSalesMean:
    def test_closed_days_are_observed_and_named(self):
        frame = good().assign(open=1)
        frame.loc[[4, 14], ["y", "open"]] = 0
        found = panel(frame, open="open")
        assert (found.open, found.futr_names) == ("open", ("price", "open"))
        assert np.flatnonzero(~found.is_open[0]).tolist() == [4]
        assert found.mask.all()

    def test_open_may_be_among_the_plans(self):
        assert panel(good().assign(open=1), futr=("open", "price"), open="open").futr_names == ("open", "price")

    def test_sales_of_what_was_not_there_are_masked(self):
        frame = good().assign(stock=[3.0] * 5 + [0.0] + [2.0] * 14)
        found = panel(frame, available="stock")
        assert np.argwhere(found.mask == 0).tolist() == [[0, 5]]
        assert found.y[0, 5] == 0
        assert "stock" not in (*found.hist_names, *found.futr_names)

    def test_a_filled_day_was_available(self):
        frame = good().assign(stock=[3.0] * 20).drop(index=[5])
        assert panel(frame, available="stock", fill="zero").mask.all()

    def test_holidays_are_a_plan_of_their_own(self):
        found = panel(good(pd.date_range("2024-12-20", periods=20)), holidays="DE")
        assert found.futr_names == ("price", "holiday")
        days = [str(found.date(step)) for step in np.flatnonzero(found.futr[0, :, 1]).tolist()]
        assert days == ["2024-12-25", "2024-12-26", "2025-01-01"]

    def test_a_state_has_holidays_more_and_a_week_holds_them(self):
        days = good(pd.date_range("2024-01-01", periods=8))
        assert panel(days, holidays="DE").futr[0, :, 1].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
        assert panel(days, holidays="DE-BY").futr[0, :, 1].tolist() == [1, 0, 0, 0, 0, 1, 0, 0]
        weeks = good(pd.date_range("2024-12-09", periods=4, freq="7D"))
        assert panel(weeks, holidays="DE").futr[0, :, 1].tolist() == [0, 0, 1, 1]

    def test_an_hourly_holiday_lasts_a_day(self):
        found = panel(good(pd.date_range("2024-12-24 20:00", periods=30, freq="h")), holidays="AT")
        assert found.futr[0, :, 1].tolist() == [0] * 4 + [1] * 26

    @pytest.mark.parametrize("place", ["XX", "DE-QQ"])
    def test_unknown_holidays_are_refused_by_name(self, place):
        with pytest.raises(DataError, match=f"No holidays are known for {place}"):
            panel(good(), holidays=place)


class TestPlans:
    def test_rows_after_the_last_sale_are_no_history(self):
        frame = good()
        frame.loc[[8, 9, 18, 19], "y"] = np.nan
        found = panel(frame)
        assert (found.steps, found.mask.all()) == (8, True)

    def test_a_series_that_ended_keeps_its_plans_as_far_as_the_others_go(self):
        frame = good()
        frame.loc[[8, 9], "y"] = np.nan
        found = panel(frame)
        assert (found.steps, found.mask[0].tolist()) == (10, [1] * 8 + [0] * 2)
        assert found.futr[0, 9, 0] == pytest.approx(frame["price"][9])

    def test_plans_may_end_one_after_the_other(self):
        frame = good()
        frame.loc[[8, 9, 18, 19], ["y", "price"]] = np.nan
        frame.loc[8, "price"] = 3
        assert panel(frame).steps == 8

    def test_a_new_series_has_plans_only_and_is_forecast_all_the_same(self):
        frame = good()
        frame.loc[10:, "y"] = np.nan
        found = panel(frame)
        assert (found.ids, found.mask.sum(axis=1).tolist()) == (("a", "b"), [10, 0])

    def test_until_looks_back_from_a_day(self):
        found = panel(good(), until=dt.date(2024, 3, 6))
        assert (found.steps, str(found.date(found.steps - 1))) == (6, "2024-03-06")
        assert found.digest == panel(good().query("ds <= '2024-03-06'")).digest


class TestNames:
    def test_columns_may_be_called_otherwise_and_an_id_may_be_several(self, tmp_path):
        frame = good(pd.date_range("2024-01-01", periods=100)).rename(columns={"ds": "Datum", "y": "Menge"})
        frame["article"] = frame.pop("unique_id").map({"a": 7, "b": 12})
        frame.to_csv(tmp_path / "sales.csv", index=False)
        columns = {"unique_id": ("region", "article"), "ds": "Datum", "y": "Menge"}
        spec = DataSpec(
            source="table", path=str(tmp_path / "sales.csv"), columns=columns, futr=["price"], stat=["region"]
        )
        found = load_panel(spec, tmp_path)
        assert (found.ids, found.stat_vocab) == (("north/7", "south/12"), (("north", "south"),))
        assert found.y[1].tolist() == list(range(100, 200))

    def test_a_missing_part_of_an_id_is_a_missing_id(self):
        frame = good().assign(article=[None, *["x"] * 19])
        with pytest.raises(DataError) as caught:
            panel(frame, keys=Columns(unique_id=("unique_id", "article")))
        assert caught.value.problems == ("row 2, column unique_id/article: the series has no name; give it one",)


@given(st.permutations(range(20)))
@settings(max_examples=20)
def test_the_order_of_the_rows_means_nothing(order):
    frame = good().assign(stock=np.arange(20) % 3)
    shuffled = frame.iloc[order].reset_index(drop=True)
    assert panel(shuffled, available="stock").digest == panel(frame, available="stock").digest
