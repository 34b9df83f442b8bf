import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.data.subset import choose
from nas.errors import RequestError

RULES = ("largest", "stratified")


@pytest.fixture
def shop():
    """1,000 series with the long tail of a shop; slow sellers have many zeros."""
    random = np.random.default_rng(0)
    totals = np.sort(np.exp(random.normal(6, 1.5, 1000)))[::-1].copy()
    return totals, np.linspace(0, 0.95, 1000)


@given(
    totals=st.lists(st.floats(0, 1e9), min_size=1, max_size=80),
    zeros=st.floats(0, 1),
    n=st.integers(1, 100),
    rule=st.sampled_from(RULES),
)
def test_as_many_as_asked_for_each_once_in_order_and_the_same_again(totals, zeros, n, rule):
    volume = np.array(totals)
    share = np.linspace(0, zeros, len(volume))
    chosen = choose(volume, share, n, rule)
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert len(chosen) == min(n, len(volume))
    assert set(chosen.tolist()) <= set(range(len(volume)))
    assert choose(volume, share, n, rule).tolist() == chosen.tolist()


def test_the_largest_are_those_that_sell_most_and_of_equal_ones_the_first():
    assert choose(np.array([1.0, 5, 3, 5, 3]), np.zeros(5), 3, "largest").tolist() == [1, 2, 3]


def test_strata_are_drawn_from_in_proportion_to_what_they_sell(shop):
    totals, zeros = shop
    chosen = choose(totals, zeros, 100, "stratified")
    drawn = np.bincount(chosen // 100, minlength=10)  # by decile of volume
    sold = totals.reshape(10, 100).sum(axis=1) / totals.sum()
    assert drawn == pytest.approx(100 * sold, abs=2)
    assert drawn[0] < 100  # not the largest alone


def test_a_stratum_that_is_full_leaves_its_places_to_the_others():
    totals = np.append(np.full(10, 1e6), np.full(90, 1.0))  # the first decile sells all but nothing
    chosen = choose(totals, np.zeros(100), 40, "stratified")
    assert set(range(10)) <= set(chosen.tolist())
    assert len(set(chosen.tolist())) == 40


def test_series_of_equal_volume_are_told_apart_by_their_zeros():
    slow = np.isin(np.arange(100) % 10, (0, 2, 5, 7, 9))  # the places that an even spread would hit, and some more
    chosen = choose(np.ones(100), np.where(slow, 0.9, 0.1), 20, "stratified")
    assert slow[chosen].sum() == 10


def test_shelves_that_sold_nothing_can_be_chosen_from_too():
    assert len(choose(np.zeros(30), np.ones(30), 7, "stratified")) == 7


@pytest.mark.parametrize("rule", RULES)
def test_a_subset_of_nothing_is_refused(rule):
    with pytest.raises(RequestError, match="at least 1"):
        choose(np.ones(3), np.zeros(3), 0, rule)
