from dataclasses import replace

import numpy as np
import pytest

from nas.data.baselines import BASELINES, baseline_forecasts, day_of_week_mean, seasonal_naive
from nas.data.panel import Panel
from nas.data.windows import Windows
from nas.frequency import DAILY, HOURLY, WEEKLY


def windows(past, mask=None, horizon=14):
    past = np.asarray(past, np.float32)[None]
    mask = np.ones_like(past) if mask is None else np.asarray(mask, np.float32)[None]
    empty, hours = np.zeros((1, horizon), np.float32), np.zeros((1, past.shape[1]), np.int64)
    return Windows(
        past=past[..., None], past_mask=mask, past_time=hours, future=empty[..., None], future_time=hours,
        static=np.zeros((1, 0), np.int64), target=empty, target_mask=empty,
    )  # fmt: skip


def test_seasonal_naive_repeats_the_last_week():
    forecast = seasonal_naive(windows(range(30), horizon=10))
    assert forecast.tolist() == [[23, 24, 25, 26, 27, 28, 29, 23, 24, 25]]
    assert forecast.dtype == np.float32


def test_seasonal_naive_goes_back_to_the_latest_observed_week():
    mask = np.ones(21)
    mask[-7:-4] = 0  # the first three weekdays were not observed last week
    assert seasonal_naive(windows(range(21), mask, horizon=7)).tolist() == [[7, 8, 9, 17, 18, 19, 20]]


def test_day_of_week_mean_takes_eight_weeks_at_most():
    weeks = np.repeat(np.arange(10), 7)  # week number on every day of ten weeks
    assert day_of_week_mean(windows(weeks)).tolist() == [[5.5] * 14]  # the mean of 2 to 9


def test_day_of_week_mean_takes_what_a_short_window_has():
    assert day_of_week_mean(windows([*range(7), *range(10, 17)], horizon=7)).tolist() == [[5, 6, 7, 8, 9, 10, 11]]


def test_day_of_week_mean_leaves_unobserved_days_out():
    mask = np.ones(14)
    mask[0] = 0
    assert day_of_week_mean(windows([99.0] + [4.0] * 13, mask, horizon=7)).tolist() == [[4.0] * 7]


@pytest.mark.parametrize("baseline", BASELINES.values())
def test_nothing_observed_is_forecast_as_zero(baseline):
    assert not baseline(windows(range(14), np.zeros(14)), DAILY).any()


@pytest.mark.parametrize("baseline", BASELINES.values())
def test_the_target_is_not_looked_at(baseline):
    given = windows(range(28))
    told = replace(given, target=given.target + 7, target_mask=given.target_mask + 1)
    np.testing.assert_array_equal(baseline(given, DAILY), baseline(told, DAILY))


def test_hours_repeat_the_hour_of_the_week():
    past = np.arange(2 * 168)
    assert seasonal_naive(windows(past, horizon=200), HOURLY)[0].tolist() == [*range(168, 336), *range(168, 200)]
    assert day_of_week_mean(windows(past, horizon=2), HOURLY).tolist() == [[84, 85]]


def test_weeks_repeat_last_years_week_where_it_was_observed():
    mask = np.ones(60)
    mask[9] = 0  # last year's week of the second one ahead
    assert seasonal_naive(windows(range(60), mask, horizon=3), WEEKLY).tolist() == [[8, 59, 10]]
    assert seasonal_naive(windows(range(51), horizon=3), WEEKLY).tolist() == [[50] * 3]  # no year is known
    assert day_of_week_mean(windows(range(60), horizon=2), WEEKLY).tolist() == [[55.5] * 2]


def test_baselines_know_where_a_store_is_closed():
    open_ = np.ones((1, 35, 1), np.float32)
    open_[0, 20], open_[0, 29] = 0, 0  # a holiday in the past (a Sunday's place), and one ahead
    y = np.full((1, 35), 7, np.float32) * open_[..., 0]
    panel = Panel(
        ids=("a",), start=np.datetime64("2024-01-01", "h"), y=y, mask=np.ones_like(y), hist=np.zeros((1, 35, 0), "f4"),
        hist_names=(), futr=open_, futr_names=("open",), stat=np.zeros((1, 0), np.int64), stat_names=(), stat_vocab=(),
        open="open",
    )  # fmt: skip
    for forecast in baseline_forecasts(panel, [28], 7).values():
        assert forecast.tolist() == [[7, 0, 7, 7, 7, 7, 7]]
