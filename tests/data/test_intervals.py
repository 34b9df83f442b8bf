import numpy as np
import pytest

from nas.data import intervals
from nas.data.intervals import MIN_SERIES, paired, ratio_bounds

RANDOM = np.random.default_rng(0)


def rows(series, origins=4, horizon=7, spread=0.0):
    """Targets, and forecasts whose error differs from series to series."""
    code = np.arange(origins * series) % series
    target = RANDOM.poisson(20, (len(code), horizon)).astype(float) + 1
    off = 2 + spread * RANDOM.standard_normal(series)[code, None]
    return target, target + off, np.ones_like(target), code


def test_a_pair_is_compared_on_the_same_draws():
    target, forecast, mask, series = rows(40, spread=1.0)
    better = target + 0.9 * (forecast - target)
    found = paired(target, better, forecast, mask, series)
    assert found.ratio == pytest.approx(0.9) and found.loss == pytest.approx(-0.1)
    # Each series is better by the same tenth, so there is nothing to be unsure of; alone, both are unsure.
    assert (found.ratio_low, found.ratio_high) == pytest.approx((0.9, 0.9))
    assert found.apart and found.series == 40


def test_equal_forecasts_are_not_apart():
    target, forecast, mask, series = rows(20, spread=1.0)
    found = paired(target, forecast, forecast.copy(), mask, series)
    assert (found.difference, found.low, found.high, found.ratio) == (0, 0, 0, 1)
    assert not found.apart


def test_the_interval_holds_zero_where_the_winner_changes_from_series_to_series():
    target = np.full((30, 7), 10.0)
    sign = np.where(np.arange(30) % 2, 1.0, 2.0)[:, None]
    found = paired(target, target + sign, target + 3 - sign, np.ones_like(target), np.arange(30))
    assert found.low < 0 < found.high


def test_few_series_have_no_interval():
    target, forecast, mask, series = rows(MIN_SERIES - 1)
    found = paired(target, forecast, forecast + 1, mask, series)
    assert found.ratio is not None and found.low is found.high is found.ratio_low is None and not found.apart


def test_nothing_sold_is_nothing_known():
    found = paired(np.zeros((6, 2)), np.ones((6, 2)), np.ones((6, 2)), np.ones((6, 2)), np.arange(6))
    assert found.difference is found.ratio is found.loss is None and found.series == 0


def test_masked_steps_do_not_count():
    target, forecast, mask, series = rows(10)
    broken = forecast.copy()
    broken[:, 3] = 1e9
    mask[:, 3] = 0
    assert paired(target, broken, forecast, mask, series).ratio == 1


def test_the_same_forecasts_have_the_same_interval():
    target, forecast, mask, series = rows(12, spread=2.0)
    assert paired(target, forecast, target + 2, mask, series) == paired(target, forecast, target + 2, mask, series)


def test_95_percent_of_the_intervals_hold_the_truth():
    """Series of one size with errors around 0.3 of it: the truth of the ratio is 0.3."""
    random, held, tries = np.random.default_rng(1), 0, 200
    for _ in range(tries):
        errors = random.exponential(0.3, (1, 60))
        ((low, high),) = ratio_bounds(errors, np.ones((1, 60)))
        held += low <= 0.3 <= high
    assert 0.88 <= held / tries <= 0.99


def test_a_block_at_a_time_draws_as_one(monkeypatch):
    above, below = RANDOM.exponential(1, (2, 30)), np.ones((2, 30))
    whole = ratio_bounds(above, below)
    monkeypatch.setattr(intervals, "_AT_ONCE", 900)
    intervals._draws.cache_clear()
    assert np.allclose(whole, ratio_bounds(above, below))
