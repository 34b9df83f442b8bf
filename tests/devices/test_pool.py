"""A board that is slower than its twins is found, and only among enough of them."""

import pytest

from nas.devices.pool import deviating


def boards(*levels, setting="onnxruntime/1"):
    return {f"b{number}": {setting: level} for number, level in enumerate(levels)}


@pytest.mark.parametrize(
    ("levels", "strays"),
    [
        ((), []),
        ((1.0, 9.0), []),  # two can only disagree
        ((1.0, 1.04, 0.96), []),
        ((1.0, 1.0, 1.06), ["b2"]),
        ((1.0, 1.0, 0.94), ["b2"]),
        ((1.0, 1.01, 2.0, 3.0, 0.99), ["b2", "b3"]),
    ],
)
def test_more_than_five_percent_off_the_median_is_a_stray(levels, strays):
    assert sorted(deviating(boards(*levels))) == strays


def test_only_levels_of_the_same_runtime_and_threads_are_compared():
    mixed = boards(1.0, 1.0) | {"other": {"openvino/1": 9.0}, "new": {}}
    assert deviating(mixed) == {}


def test_the_reason_says_how_far_off_it_is():
    found = deviating(boards(1.0, 1.0, 1.5))["b2"]
    assert found.setting == "onnxruntime/1"
    assert "1.5 ms" in found.reason and "+50%" in found.reason
