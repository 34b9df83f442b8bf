"""The measuring window: in the device's own time, and over midnight."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.devices.window import Window, closed
from nas.errors import RequestError

MINUTES = st.integers(0, 1439)


def text(start, end):
    return f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"


@given(MINUTES, MINUTES, MINUTES)
def test_a_minute_lies_in_a_window_or_in_the_rest_of_the_day(start, end, minute):
    if start == end:
        return
    inside, outside = Window.parse(text(start, end)), Window.parse(text(end, start))
    assert inside.contains(minute) != outside.contains(minute)
    assert inside.contains(start) and not inside.contains(end)
    if start < end:
        assert inside.contains(minute) == (start <= minute < end)


@pytest.mark.parametrize("wrong", ["", "22-05", "22:00", "24:00-05:00", "22:60-05:00", "22:00-22:00", "22:00-05:00 "])
def test_a_window_that_is_none_is_refused_with_an_example(wrong):
    with pytest.raises(RequestError, match="22:00-05:00"):
        Window.parse(wrong)


@pytest.mark.parametrize(
    ("utc", "offset_h", "reason"),
    [
        ("21:30", 1, None),
        ("20:59", 1, "waiting for its window 22:00-05:00, there it is 21:59"),
        ("04:00", 1, "waiting for its window 22:00-05:00, there it is 05:00"),
        ("03:59", 1, None),
        ("03:00", -5, None),
        ("02:00", -5, "waiting for its window 22:00-05:00, there it is 21:00"),
        ("17:00", 5.5, None),
    ],
)
def test_it_is_the_devices_own_time_that_counts(utc, offset_h, reason):
    now = datetime.fromisoformat(f"2026-03-01T{utc}:00+00:00")
    for zone in (UTC, now.astimezone().tzinfo):
        assert closed("22:00-05:00", now.astimezone(zone), offset_h * 3600) == reason


def test_no_window_is_always_open_and_an_unknown_zone_never():
    now = datetime.now(UTC)
    assert closed("", now, None) is None
    assert "time zone" in closed("22:00-05:00", now, None)


def test_a_window_of_a_day_is_open_as_long_as_it_says():
    start = datetime(2026, 3, 1, tzinfo=UTC)
    minutes = [start + timedelta(minutes=minute) for minute in range(1440)]
    assert sum(closed("22:00-05:00", minute, 0) is None for minute in minutes) == 7 * 60
