"""Percentiles and their intervals, against numpy and against what the intervals promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agents import percentiles

samples = st.lists(st.integers(1, 10**9), min_size=1, max_size=400).map(sorted)


@given(samples, st.sampled_from([0.5, 0.95, 0.99]))
def test_quantiles_are_numpys(ordered, q):
    assert percentiles.quantile(ordered, q) == pytest.approx(np.quantile(ordered, q))


@pytest.mark.parametrize(("name", "floor"), [("p50", 11), ("p95", 130), ("p99", 662)])
def test_below_its_floor_a_percentile_is_null(name, floor):
    assert percentiles.summary(list(range(floor - 1)), name) is None
    assert percentiles.summary(list(range(floor)), name) is not None


@given(st.integers(11, 100_000), st.sampled_from([0.5, 0.95, 0.99]))
def test_the_ranks_enclose_the_quantile_within_the_sample(n, q):
    low, high = percentiles.ranks(n, q)
    assert 1 <= low <= high <= n
    assert low <= n * q + 1
    assert high >= n * q


@pytest.mark.parametrize(("n", "q"), [(11, 0.5), (130, 0.95), (662, 0.99), (1000, 0.5), (20_000, 0.95)])
def test_each_tail_holds_at_most_its_share_and_no_rank_could_be_tighter(n, q):
    low, high = percentiles.ranks(n, q)
    below = np.random.default_rng(0).binomial(n, q, 400_000)
    assert np.mean(below < low) <= 0.025 + 0.002
    assert np.mean(below >= high) <= 0.025 + 0.002
    assert np.mean(below < low + 1) > 0.025 - 0.002
    if high < n:
        assert np.mean(below >= high - 1) > 0.025 - 0.002


@pytest.mark.parametrize("draw", ["lognormal", "exponential", "bimodal"])
def test_the_interval_covers_the_true_median_19_times_of_20(draw):
    rng = np.random.default_rng(1)
    drawers = {
        "lognormal": lambda n: rng.lognormal(10, 0.5, n),
        "exponential": lambda n: rng.exponential(1e6, n),
        "bimodal": lambda n: np.where(rng.random(n) < 0.7, rng.normal(1e6, 1e4, n), rng.normal(5e6, 1e4, n)),
    }
    truth = np.median(drawers[draw](1_000_000)) / 1e6
    hits = 0
    for _ in range(600):
        interval = percentiles.summary(sorted(drawers[draw](200)), "p50")["interval"]
        hits += interval[0] <= truth <= interval[1]
    assert hits / 600 >= 0.93
