from dataclasses import replace

import numpy as np
import pytest

from nas.data.shift import shift, stability_index
from nas.data.split import Split

SAME = {"student": (0.3, 0.31), "day_of_week_mean": (0.35, 0.36), "seasonal_naive": (0.4, 0.41)}


@pytest.fixture
def calm(panel):
    """Promotions that stay as they are."""
    return replace(panel, futr=np.zeros_like(panel.futr))


def test_the_index_is_zero_for_the_same_and_by_hand_for_a_share_that_doubles():
    values = np.random.default_rng(0).normal(size=500)
    assert stability_index(values, values) == 0
    before, after = np.repeat([0.0, 1.0], [80, 20]), np.repeat([0.0, 1.0], [60, 40])
    expected = (0.6 - 0.8) * np.log(0.6 / 0.8) + (0.4 - 0.2) * np.log(0.4 / 0.2)
    assert stability_index(before, after) == pytest.approx(expected)
    assert stability_index(before, np.array([])) is None


def test_what_did_not_change_is_no_warning(calm):
    found = shift(calm, Split.of(calm), SAME, "student")
    assert [drift.name for drift in found.drifts] == ["sales per step", "zero share", "promotion share", "promotion"]
    assert found.warnings == ()


def test_sales_that_double_are_warned_of(calm):
    split = Split.of(calm)
    y = calm.y.copy()
    y[:, -split.test :] *= 4
    found = shift(replace(calm, y=y), split, SAME, "student")
    (warning,) = found.warnings
    assert warning.startswith("sales per step changed from ")
    before, after = found.drifts[0].validation, found.drifts[0].test
    assert after > 2 * before


def test_a_winner_that_loses_its_place_is_warned_of(calm):
    wapes = {**SAME, "day_of_week_mean": (0.35, 0.30)}
    (warning,) = shift(calm, Split.of(calm), wapes, "student").warnings
    assert "number 1 of 3 on validation and number 2 on the test part" in warning


def test_candidates_that_are_known_on_one_part_only_have_no_rank(calm):
    wapes = {**SAME, "plain_lstm": (None, 0.2)}
    assert shift(calm, Split.of(calm), wapes, "student").warnings == ()
