from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.data.split import Split
from nas.data.windows import INPUTS, evaluation, sample, training_pairs
from nas.errors import DataError, RequestError


def naive(panel, series, origin, window, horizon):
    """One window, day by day: the oracle."""
    channels = 1 + len(panel.hist_names) + len(panel.futr_names)
    past, mask = np.zeros((window, channels)), np.zeros(window)
    for step, day in enumerate(range(origin - window, origin)):
        if day < 0:
            continue
        mask[step] = panel.mask[series, day]
        if mask[step]:
            past[step] = [panel.y[series, day], *panel.hist[series, day], *panel.futr[series, day]]
        else:
            past[step] = [0, *np.zeros(len(panel.hist_names)), *panel.futr[series, day]]
    days = range(origin, origin + horizon)
    future = np.array([panel.futr[series, day] for day in days])
    target = np.array([panel.y[series, day] if panel.mask[series, day] else 0 for day in days])
    return past, mask, future, target


@given(st.data())
def test_windows_equal_a_naive_loop(panel, data):
    window, horizon = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 20))
    pair = st.tuples(st.integers(0, len(panel.ids) - 1), st.integers(0, panel.steps - horizon))
    series, origin = np.array(data.draw(st.lists(pair, min_size=1, max_size=6))).T
    windows = sample(panel, series, origin, window, horizon)
    assert len(windows) == len(series)
    for row in range(len(series)):
        past, mask, future, target = naive(panel, series[row], origin[row], window, horizon)
        np.testing.assert_array_equal(windows.past[row], past.astype(np.float32))
        np.testing.assert_array_equal(windows.past_mask[row], mask)
        np.testing.assert_array_equal(windows.future[row], future)
        np.testing.assert_array_equal(windows.target[row], target)
        np.testing.assert_array_equal(windows.static[row], panel.stat[series[row]])


def test_the_contract_of_the_inputs(panel):
    windows = sample(panel, np.array([0, 1]), np.array([50, 60]), 28, 14)
    inputs = windows.inputs()
    assert tuple(inputs) == INPUTS == ("past", "past_mask", "past_time", "future", "future_time", "static")
    shapes = {name: (value.dtype.name, value.shape) for name, value in inputs.items()}
    assert shapes == {
        "past": ("float32", (2, 28, 3)),
        "past_mask": ("float32", (2, 28)),
        "past_time": ("int64", (2, 28)),
        "future": ("float32", (2, 14, 1)),
        "future_time": ("int64", (2, 14)),
        "static": ("int64", (2, 1)),
    }


def test_time_is_hours_since_1970_without_a_break(panel):
    windows = sample(panel, np.array([0]), np.array([50]), 7, 3)
    hours = np.concatenate([windows.past_time[0], windows.future_time[0]])
    np.testing.assert_array_equal(hours.astype("datetime64[h]").astype("datetime64[D]"), panel.date(43) + np.arange(10))
    assert not (hours % 24).any()


def test_days_before_the_calendar_are_masked(panel):
    windows = sample(panel, np.array([0]), np.array([5]), 14, 7)
    assert windows.past_mask[0].tolist() == [0] * 9 + [1] * 5
    assert not windows.past[0, :9].any()


def test_no_covariates_are_no_channels(panel):
    bare = replace(
        panel, hist=panel.hist[..., :0], hist_names=(), futr=panel.futr[..., :0], futr_names=(),
        stat=panel.stat[:, :0], stat_names=(), stat_vocab=(),
    )  # fmt: skip
    windows = sample(bare, np.array([0, 1]), np.array([50, 51]), 28, 14)
    assert (windows.past.shape, windows.future.shape, windows.static.shape) == ((2, 28, 1), (2, 14, 0), (2, 0))


@given(st.integers(0, 4), st.integers(1, 146), st.integers(0, 2**16))
def test_the_inputs_never_see_the_future(panel, series, origin, seed):
    noise = np.random.default_rng(seed)
    later = np.arange(panel.steps) >= origin
    changed = replace(
        panel,
        y=np.where(later, noise.random(panel.y.shape), panel.y).astype(np.float32),
        hist=np.where(later[:, None], noise.random(panel.hist.shape), panel.hist).astype(np.float32),
        mask=np.where(later, 0, panel.mask).astype(np.float32),
    )
    before, after = (sample(each, np.array([series]), np.array([origin]), 28, 14).inputs() for each in (panel, changed))
    for name in INPUTS:
        np.testing.assert_array_equal(before[name], after[name])


@pytest.mark.parametrize("origin", [-1, 147, 160])
def test_a_forecast_outside_the_calendar_is_refused(panel, origin):
    with pytest.raises(RequestError, match="expected origins from 0 to 146"):
        sample(panel, np.array([0]), np.array([origin]), 28, 14)


@given(st.sampled_from([7, 14, 28, 84]), st.integers(1, 20))
def test_training_uses_all_that_it_may_and_nothing_after_its_end(panel, window, horizon):
    split = Split.of(panel, horizon=horizon)
    series_index, origin = training_pairs(panel, horizon, split.train_end, window)
    assert (origin + horizon).max() == split.train_end
    expected = {
        (series, day)
        for series in range(len(panel.ids))
        for day in range(split.train_end - horizon + 1)
        if panel.mask[series, max(day - window, 0) : day].sum() >= min(14, window)
        and 2 * panel.mask[series, day : day + horizon].sum() >= horizon
    }
    assert set(zip(series_index.tolist(), origin.tolist(), strict=True)) == expected


def test_no_pair_for_training_is_a_data_error(panel):
    unseen = replace(panel, mask=np.where(np.arange(160) < 80, 0, panel.mask).astype(np.float32))
    with pytest.raises(DataError, match="No series has 14 observed steps followed by 14 more"):
        training_pairs(unseen, 14, Split.of(panel).train_end, 28)


def test_evaluation_is_all_series_at_the_first_origin_then_the_next(panel):
    windows = evaluation(panel, (90, 97), 28, 14)
    assert len(windows) == 10
    one = sample(panel, np.array([3]), np.array([97]), 28, 14)
    np.testing.assert_array_equal(windows.past[5 + 3], one.past[0])
    np.testing.assert_array_equal(windows.target[5 + 3], one.target[0])
