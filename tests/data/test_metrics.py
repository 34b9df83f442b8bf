import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.data.metrics import METRICS, Scale, accuracy, figures, terms, wape

TARGET = np.array([[2, 4, 0], [10, 0, 4]], np.float32)
FORECAST = np.array([[3, 1, 0], [12, 2, 100]], np.float32)
MASK = np.array([[1, 1, 1], [1, 1, 0]], np.float32)
LEVELS = (0.1, 0.5, 0.9)


def known(found):
    return {name: value for name, value in found.items() if value is not None}


def per_series(target, forecast, mask=None, quantiles=()):
    return {name: each.sum(axis=1) for name, each in terms(target, forecast, mask, quantiles).items()}


def test_against_figures_by_hand():
    # errors 1, -3, 0, 2, 2; sales 2 + 4 + 0 + 10 + 0
    expected = {"wape": 8 / 16, "mae": 8 / 5, "rmse": pytest.approx((18 / 5) ** 0.5), "bias": 2 / 16}
    assert known(accuracy(TARGET, FORECAST, MASK)) == expected
    assert wape(TARGET, FORECAST, MASK) == 0.5


def test_without_a_mask_every_step_counts():
    assert accuracy(TARGET, FORECAST)["mae"] == (8 + 96) / 6


def test_nothing_to_judge_is_none():
    nothing = dict.fromkeys(METRICS)
    assert accuracy(TARGET, FORECAST, np.zeros_like(TARGET)) == nothing
    assert accuracy(np.zeros((2, 0)), np.zeros((2, 0))) == nothing


def test_without_sales_only_absolute_errors_are_known():
    assert known(accuracy(np.zeros(2), np.ones(2))) == {"mae": 1.0, "rmse": 1.0}


def test_a_perfect_forecast_has_no_error():
    assert known(accuracy(TARGET, TARGET)) == {"wape": 0.0, "mae": 0.0, "rmse": 0.0, "bias": 0.0}


def test_a_small_day_beside_a_large_one_is_not_lost():
    large = 2**24  # float32 cannot add 1 to it
    assert wape(np.array([large, 1], np.float32), np.array([large, 0], np.float32)) == 1 / (large + 1)


@given(st.floats(0.01, 100))
def test_what_is_relative_does_not_depend_on_the_unit(scale):
    sample = np.arange(24, dtype=np.float32).reshape(2, 12) % 5
    seen = np.ones_like(sample)
    before = figures(per_series(TARGET, FORECAST, MASK), Scale.of(sample, seen, 7))
    after = figures(per_series(TARGET * scale, FORECAST * scale, MASK), Scale.of(sample * scale, seen, 7))
    for name in ("wape", "bias", "mase", "rmsse"):
        assert after[name] == pytest.approx(before[name], rel=1e-4)


def test_the_scale_is_the_seasonal_naive_error_in_the_sample():
    # Season 2, from the first sale on: pairs (1, 4), (2, 2) and (4, 1); the 9 is masked.
    sales = np.array([[0, 0, 1, 2, 4, 2, 1, 9]], np.float32)
    mask = np.array([[1, 1, 1, 1, 1, 1, 1, 0]], np.float32)
    scale = Scale.of(sales, mask, 2)
    assert scale.absolute.tolist() == [(3 + 0 + 3) / 3]
    assert scale.squared.tolist() == [(9 + 0 + 9) / 3]


def test_mase_and_rmsse_are_means_over_the_series_that_have_a_scale():
    scale = Scale(np.array([2.0, np.nan]), np.array([4.0, np.nan]))
    found = figures(per_series(TARGET, FORECAST, MASK), scale)
    assert found["mase"] == pytest.approx((4 / 3) / 2)  # errors 1, 3, 0 of the first series
    assert found["rmsse"] == pytest.approx((10 / 3 / 4) ** 0.5)


def test_a_series_that_never_sold_or_never_varied_has_no_scale():
    sales = np.array([[0, 0, 0, 0], [5, 5, 5, 5], [1, 2, 3, 4]], np.float32)
    assert np.isnan(Scale.of(sales, np.ones_like(sales), 2).absolute).tolist() == [True, True, False]


def test_quantiles_are_judged_by_pinball_loss_and_coverage():
    target = np.array([[10.0, 10.0]])
    forecast = np.array([[[8.0, 9.0, 12.0], [11.0, 12.0, 13.0]]])
    found = figures(per_series(target, forecast, None, LEVELS), quantiles=LEVELS)
    first = (0.1 * 2 + 0.5 * 1 + 0.1 * 2) / 3  # y above 8 and 9, below 12
    second = (0.9 * 1 + 0.5 * 2 + 0.1 * 3) / 3  # y below all three
    assert found["pinball"] == pytest.approx((first + second) / 2)
    assert found["coverage"] == 0.5
    assert found["coverage_error"] == pytest.approx(0.3)
    assert found["mae"] == 1.5  # the median is the point forecast


@given(st.lists(st.floats(0, 100), min_size=200, max_size=200), st.sampled_from([0.1, 0.5, 0.9]))
def test_no_constant_has_a_lower_pinball_loss_than_the_quantile_itself(sales, level):
    target = np.array([sales])

    def loss(value):
        forecast = np.full((*target.shape, 2), value)
        chosen = (level, 0.5)
        both = figures(per_series(target, forecast, None, chosen), quantiles=chosen)["pinball"]
        return 2 * both - np.abs(target - value).mean() / 2  # without the median's part

    best = np.quantile(target, level, method="inverted_cdf")
    for other in (best - 1, best + 1):
        assert loss(best) <= loss(other) + 1e-9
