"""The line before one device: one at a time, searches in turn, requests of one search in order."""

import itertools
import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from processes import wait_until

from nas.devices.device import Device
from nas.devices.line import Line


def served(requests):
    """In which order these requests, which all wait before the device is free, are served."""
    line, order, threads = Line(Device("pi", "local")), [], []

    def ask(who, number):
        with line.turn(who):
            order.append((who, number))

    with line.turn("first"):
        for number, who in enumerate(requests):
            threads.append(threading.Thread(target=ask, args=(who, number)))
            threads[-1].start()
            wait_until(lambda: line.load == 1 + len(threads))
    for thread in threads:
        thread.join()
    assert line.load == 0
    return order


def test_searches_take_turns_however_many_requests_one_of_them_has():
    assert [who for who, _ in served("aaaab")] == ["a", "b", "a", "a", "a"]


@given(st.lists(st.sampled_from("abc"), max_size=8))
@hypothesis_settings(max_examples=20)
def test_each_search_is_served_in_order_and_nobody_waits_for_two_of_another(requests):
    order = served(requests)
    for who in "abc":
        mine = [number for other, number in order if other == who]
        assert mine == [number for number, other in enumerate(requests) if other == who]
    left = Counter(requests)
    for (earlier, _), (later, _) in itertools.pairwise(order):
        left[earlier] -= 1
        assert earlier != later or not any(left[other] for other in left if other != earlier)


def test_the_device_is_free_after_a_failure_and_idle_only_when_nobody_waits():
    line = Line(Device("pi", "local"))
    with line.turn("a"), line.idle() as idle:
        assert not idle
    with pytest.raises(ValueError), line.turn("a"):
        raise ValueError
    with line.idle() as idle:
        assert idle
        assert line.load == 1
    assert line.load == 0
