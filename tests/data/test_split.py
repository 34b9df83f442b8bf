import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nas.data.split import Split, steps_needed
from nas.errors import DataError, RequestError


def test_the_default_split_of_a_year(panel):
    split = Split(365)
    assert split.train_end == 295
    assert split.validation_origins == (295, 302, 309, 316)
    assert split.test_origins == (330, 337, 344, 351)
    assert Split.of(panel).steps == panel.steps


@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 60), st.integers(1, 60), st.integers(1, 30))
def test_every_horizon_lies_in_its_part(days, horizon, validation, test, stride):
    assume(horizon <= min(validation, test) and days >= steps_needed(horizon, validation, test))
    split = Split(days, horizon, validation, test, stride)
    test_start = days - test
    assert split.validation_origins[0] == split.train_end == test_start - validation
    assert split.test_origins[0] == test_start
    assert split.validation_origins[-1] + horizon <= test_start < split.validation_origins[-1] + horizon + stride
    assert split.test_origins[-1] + horizon <= days < split.test_origins[-1] + horizon + stride


def test_a_horizon_longer_than_a_part_is_refused():
    with pytest.raises(RequestError, match="does not fit in a test part of 10; expected at least 14"):
        Split(365, test=10)


def test_too_few_days_are_refused_with_the_number_needed():
    Split(98)
    with pytest.raises(DataError, match="97 steps, expected at least 98"):
        Split(97)


@pytest.mark.parametrize("name", ["horizon", "validation", "test", "stride"])
def test_nothing_may_be_below_one(name):
    with pytest.raises(RequestError, match=f"{name} is 0"):
        Split(365, **{name: 0})
