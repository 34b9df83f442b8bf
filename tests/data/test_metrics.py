import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.data.metrics import accuracy, bias, mae, rmse, wape

TARGET = np.array([[2, 4, 0], [10, 0, 4]], np.float32)
FORECAST = np.array([[3, 1, 0], [12, 2, 100]], np.float32)
MASK = np.array([[1, 1, 1], [1, 1, 0]], np.float32)


def test_against_figures_by_hand():
    # errors 1, -3, 0, 2, 2; sales 2 + 4 + 0 + 10 + 0
    assert wape(TARGET, FORECAST, MASK) == 8 / 16
    assert mae(TARGET, FORECAST, MASK) == 8 / 5
    assert rmse(TARGET, FORECAST, MASK) == pytest.approx((18 / 5) ** 0.5)
    assert bias(TARGET, FORECAST, MASK) == 2 / 16
    assert accuracy(TARGET, FORECAST, MASK) == {"wape": 0.5, "mae": 1.6, "rmse": pytest.approx(3.6**0.5), "bias": 0.125}


def test_without_a_mask_every_day_counts():
    assert mae(TARGET, FORECAST) == (8 + 96) / 6


def test_nothing_to_judge_is_none():
    nothing = {"wape": None, "mae": None, "rmse": None, "bias": None}
    assert accuracy(TARGET, FORECAST, np.zeros_like(TARGET)) == nothing
    assert accuracy(np.zeros((2, 0)), np.zeros((2, 0))) == nothing


def test_without_sales_only_absolute_errors_are_known():
    assert accuracy(np.zeros(2), np.ones(2)) == {"wape": None, "mae": 1.0, "rmse": 1.0, "bias": None}


def test_a_perfect_forecast_has_no_error():
    assert accuracy(TARGET, TARGET) == {"wape": 0.0, "mae": 0.0, "rmse": 0.0, "bias": 0.0}


def test_a_small_day_beside_a_large_one_is_not_lost():
    large = 2**24  # float32 cannot add 1 to it
    assert wape(np.array([large, 1], np.float32), np.array([large, 0], np.float32)) == 1 / (large + 1)


@given(st.floats(0.01, 100))
def test_wape_and_bias_do_not_depend_on_the_unit(scale):
    for metric in (wape, bias):
        assert metric(TARGET * scale, FORECAST * scale, MASK) == pytest.approx(metric(TARGET, FORECAST, MASK), rel=1e-5)
