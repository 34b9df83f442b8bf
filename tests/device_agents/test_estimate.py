"""Percentiles and ratios that say how sure they are: floors, pairing, and intervals that keep what they promise."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agents import estimate
from device_agents.estimate import Round

samples = st.lists(st.integers(1_000, 10_000_000), min_size=4, max_size=40)
rounds = st.builds(Round, samples, st.floats(1_000, 10_000_000))
launches = st.lists(st.lists(rounds, min_size=1, max_size=5), min_size=1, max_size=5)


@given(launches, st.sampled_from(["p50", "p90", "p95", "p99"]))
def test_an_interval_contains_its_value(found, name):
    known = estimate.percentile(found, name)
    if known is not None:
        assert 0 < known.low <= known.value <= known.high


@given(launches)
def test_a_ratio_contains_its_value_and_turns_with_the_reference(found):
    known = estimate.ratio(found)
    assert known.low <= known.value <= known.high
    doubled = [[Round(one.samples, one.reference * 2) for one in launch] for launch in found]
    assert estimate.ratio(doubled).value == pytest.approx(known.value / 2)


@pytest.mark.parametrize(("name", "floor"), [("p50", 11), ("p90", 64), ("p95", 130), ("p99", 662)])
def test_below_its_floor_a_percentile_is_not_a_guess(name, floor):
    assert estimate.percentile([[Round([1000] * (floor - 1), None)]], name) is None
    assert estimate.percentile([[Round([1000] * floor, None)]], name).value == 1000


def test_without_a_reference_there_is_no_ratio():
    assert estimate.ratio([[Round([1000] * 20, None)]]) is None


def test_a_drift_of_the_device_cancels_in_the_ratio():
    drifting = [[Round([1000 * level] * 20, 500.0 * level) for level in (1, 2, 3)] for _ in range(3)]
    assert estimate.ratio(drifting).value == pytest.approx(2.0)


def measured(generator, launch_sd, round_sd, count):
    """Launches around a true p50 of 100 µs and a true ratio of 2, with noise of both levels."""
    made = []
    for _ in range(count):
        here = math.exp(generator.gauss(0, launch_sd))
        made.append(
            [
                Round(
                    [max(1, int(100_000 * here * moment * math.exp(generator.gauss(0, 0.02)))) for _ in range(12)],
                    50_000 * moment,
                )
                for moment in (math.exp(generator.gauss(0, round_sd)) for _ in range(8))
            ]
        )
    return made


@pytest.mark.parametrize(("launch_sd", "count"), [(0.0, 3), (0.004, 3), (0.004, 6), (0.02, 6)])
def test_intervals_cover_the_truth_as_often_as_they_say(launch_sd, count):
    generator = random.Random(1)
    hits = 0
    for _ in range(400):
        known = estimate.ratio(measured(generator, launch_sd, 0.02, count))
        hits += known.low <= 2.0 <= known.high
    assert hits / 400 >= 0.93


def test_resampling_rounds_agrees_with_sorting_every_replicate():
    generator = random.Random(2)
    ordered_rounds = [sorted(round_.samples) for launch in measured(generator, 0.01, 0.05, 3) for round_ in launch]
    pooled = sorted(one for round_ in ordered_rounds for one in round_)
    for q in (0.5, 0.95):
        quick = sorted(estimate._resampled_quantile(ordered_rounds, pooled, q))
        slow = []
        for _ in range(200):
            drawn = [
                one
                for i in generator.choices(range(len(ordered_rounds)), k=len(ordered_rounds))
                for one in ordered_rounds[i]
            ]
            slow.append(estimate.quantile(sorted(drawn), q))
        slow.sort()
        for place in (5, 100, 194):
            assert quick[place] == pytest.approx(slow[place], rel=0.02)
